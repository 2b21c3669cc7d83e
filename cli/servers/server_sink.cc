// SPDX-License-Identifier: MIT
#include "cli/servers/server_sink.h"

#include <fmt/format.h>

#include <utility>

#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::Reply;
using kvd::ReplyType;

// What may be on its way: enough to keep the server busy while half of it is
// acknowledged.
constexpr size_t kSentMax = 4000;
constexpr size_t kSentBytesMax = 8 << 20;

}  // namespace

Attempt<void> ServerSink::Put(const std::vector<Record>& page) {
  for (const Record& record : page) {
    KVD_TRY(Select(record));
    KVD_TRY(Send(record));
    if (sent_bytes_ >= kSentBytesMax) {
      KVD_TRY(Settle());
    } else if (sent_.size() >= kSentMax) {
      KVD_TRY(ReceiveUntil(kSentMax / 2));
    }
  }
  // Whoever feeds records slowly sees them soon.
  return peer_.Flush();
}

Attempt<void> ServerSink::Settle() { return ReceiveUntil(0); }

// Not in the pipeline: behind a SELECT that fails, keys would be set elsewhere.
Attempt<void> ServerSink::Select(const Record& record) {
  const int64_t database = record.database.value_or(0);
  if (database == peer_.database()) return {};
  KVD_TRY(Settle());
  Attempt<void> selected = peer_.Select(database);
  if (selected) return {};
  Failure failure = std::move(selected).error();
  failure.text = fmt::format("{}, database {}: {}", Describe(record.place),
                             database, failure.text);
  return Unexpected(std::move(failure));
}

Attempt<void> ServerSink::Send(const Record& record) {
  sent_.push_back({.key = record.key, .place = record.place});
  if (existing_ == Existing::kCount) {
    return peer_.Send({"EXISTS", record.key});
  }
  sent_bytes_ += record.key.size() + record.value.size();
  std::vector<std::string_view> words = {"SET", record.key, record.value};
  if (existing_ == Existing::kSkip) words.push_back("NX");
  std::string deadline;
  if (record.expires_ms) {
    deadline = std::to_string(*record.expires_ms);
    words.insert(words.end(), {"PXAT", deadline});
  }
  return peer_.Send(words);
}

Attempt<void> ServerSink::ReceiveUntil(size_t left) {
  while (sent_.size() > left) KVD_TRY(TakeReply());
  sent_bytes_ = 0;
  return {};
}

Attempt<void> ServerSink::TakeReply() {
  const Sent sent = std::move(sent_.front());
  sent_.pop_front();
  KVD_TRY_ASSIGN(const Reply reply, peer_.Receive());
  if (reply.is_error()) return Refused(sent, reply);
  const bool there =
      existing_ == Existing::kCount
          ? reply.type == ReplyType::kInteger && reply.integer > 0
          : reply.is_null();
  if (there) {
    ++existing_count_;
  } else {
    ++stored_;
  }
  return {};
}

// Says which record it was, once it is known what became of those behind it.
Attempt<void> ServerSink::Refused(const Sent& sent, const Reply& reply) {
  Failure failure = peer_.Refusal(reply, "SET");
  while (!sent_.empty()) {
    sent_.pop_front();
    KVD_TRY_ASSIGN(const Reply later, peer_.Receive());
    if (!later.is_error() && !later.is_null()) ++stored_;
  }
  failure.text = fmt::format(
      "{}, key {}: {}\n  {} other records were set before kvctl stopped",
      Describe(sent.place), Quote(std::string_view(sent.key).substr(0, 100)),
      failure.text, Grouped(stored_));
  return Unexpected(std::move(failure));
}

}  // namespace kvctl
