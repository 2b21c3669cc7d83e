// SPDX-License-Identifier: MIT
#include "tests/etcd/test_client.h"

#include <poll.h>

#include <utility>

#include "base/check.h"
#include "fmt/format.h"

namespace kvd::etcd {
namespace {

constexpr int kStepMs = 20;
// Steps in which nothing came, and all.
constexpr int kIdleStepsMax = 4000;
constexpr int kStepsMax = 1'000'000;

}  // namespace

Op Put(std::string key, std::string value) {
  return {Op::Kind::kPut, std::move(key), std::move(value)};
}
Op Delete(std::string key) { return {Op::Kind::kDelete, std::move(key), ""}; }
Op Get(std::string key) { return {Op::Kind::kGet, std::move(key), ""}; }

Compare IfRevision(std::string key, int64_t revision) {
  return {std::move(key), Compare::Target::kModRevision, revision, ""};
}
Compare IfValue(std::string key, std::string value) {
  return {std::move(key), Compare::Target::kValue, 0, std::move(value)};
}

std::string Text(const std::vector<KeyValue>& found) {
  std::string text;
  for (const KeyValue& kv : found) {
    text += (text.empty() ? "" : " ") + kv.key + "=" + kv.value;
  }
  return text;
}

TestClient::TestClient(const std::vector<std::string>& endpoints,
                       CertificateFiles certificates) {
  ClientOptions options{.endpoints = endpoints,
                        .certificates = std::move(certificates)};
  Result<std::unique_ptr<Api>> api = Connect(options, event_fd_.wake());
  KVD_CHECK(api.ok());
  api_ = std::move(*api);
}

bool TestClient::Await(const std::function<bool()>& done) {
  int idle = 0;
  for (int step = 0; step < kStepsMax && idle < kIdleStepsMax; ++step) {
    if (done()) return true;
    pollfd readable{event_fd_.fd(), POLLIN, 0};
    if (poll(&readable, 1, kStepMs) == 0) ++idle;
    PollOnce();
  }
  return done();
}

void TestClient::PollOnce() {
  event_fd_.Clear();
  api_->Poll();
}

Result<TxnResponse> TestClient::Txn(TxnRequest request, int64_t ms) {
  std::optional<Result<TxnResponse>> answer;
  api_->Txn(std::move(request), ms,
            [&](Result<TxnResponse> result) { answer = std::move(result); });
  KVD_CHECK(Await([&] { return answer.has_value(); }));
  return std::move(*answer);
}

Result<RangeResponse> TestClient::Range(RangeRequest request, int64_t ms) {
  std::optional<Result<RangeResponse>> answer;
  api_->Range(std::move(request), ms, [&](Result<RangeResponse> result) {
    answer = std::move(result);
  });
  KVD_CHECK(Await([&] { return answer.has_value(); }));
  return std::move(*answer);
}

std::vector<MemberStatus> TestClient::Status(int64_t ms) {
  std::optional<std::vector<MemberStatus>> answer;
  api_->Status(ms, [&](std::vector<MemberStatus> members) {
    answer = std::move(members);
  });
  KVD_CHECK(Await([&] { return answer.has_value(); }));
  return std::move(*answer);
}

int64_t TestClient::PutOne(const std::string& key, const std::string& value) {
  TxnRequest request;
  request.then.push_back(Put(key, value));
  const Result<TxnResponse> result = Txn(std::move(request));
  return result.ok() ? result->revision : 0;
}

WatchLog::WatchLog(TestClient& client, const std::string& prefix,
                   int64_t from_revision) {
  watch_ = client.api().StartWatch(
      prefix, PrefixEnd(prefix), from_revision,
      [this](WatchUpdate update) {
        events_ += update.events.size();
        revision_ = update.revision;
        updates_.push_back(std::move(update));
      },
      [this](Error error) { end_ = std::move(error); });
}

std::string WatchLog::Text(int64_t from) const {
  std::string text;
  for (const WatchUpdate& update : updates_) {
    if (update.events.empty()) continue;
    if (!text.empty()) text += "|";
    text += fmt::format("{}", update.revision - from);
    for (const Event& event : update.events) {
      text += event.is_delete
                  ? " -" + event.kv.key
                  : fmt::format(" {}={}", event.kv.key, event.kv.value);
    }
  }
  return text;
}

}  // namespace kvd::etcd
