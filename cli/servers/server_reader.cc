// SPDX-License-Identifier: MIT
#include "cli/servers/server_reader.h"

#include <fmt/format.h>

#include <utility>

#include "base/clock.h"

namespace kvctl {
namespace {

using kvd::Reply;
using kvd::ReplyType;

// A key that changes more often while it is read is taken with a deadline that
// may be that of the revision before.
constexpr int kAttemptsMax = 8;

bool IsWrongType(const Reply& reply) {
  return reply.is_error() && reply.text.starts_with("WRONGTYPE");
}

// KV.GET's three elements: value or size, revision, milliseconds to live.
bool IsState(const Reply& reply) {
  return reply.elements.size() == 3 &&
         reply.elements[1].type == ReplyType::kInteger &&
         reply.elements[2].type == ReplyType::kInteger;
}

}  // namespace

Attempt<std::vector<KeyToRead>> ServerReader::LookUp(
    int64_t database, std::vector<std::string> keys) {
  KVD_TRY(peer_.Select(database));
  return peer_.is_kvd() ? LookUpInKvd(std::move(keys))
                        : LookUpInRedis(database, std::move(keys));
}

Attempt<std::vector<KeyToRead>> ServerReader::LookUpInKvd(
    std::vector<std::string> keys) {
  for (const std::string& key : keys) {
    KVD_TRY(peer_.Send({"KV.GET", key, "META"}));
  }
  std::vector<KeyToRead> found;
  for (std::string& key : keys) {
    KVD_TRY_ASSIGN(const Reply reply, peer_.Receive());
    if (reply.is_null()) continue;
    if (!IsState(reply)) return Unexpected(peer_.Refusal(reply, "KV.GET"));
    found.push_back({.key = std::move(key),
                     .size = reply.elements[0].integer,
                     .expires = reply.elements[2].integer >= 0});
  }
  return found;
}

Attempt<std::vector<KeyToRead>> ServerReader::LookUpInRedis(
    int64_t database, std::vector<std::string> keys) {
  for (const std::string& key : keys) {
    KVD_TRY(peer_.Send({"STRLEN", key}));
  }
  std::vector<KeyToRead> found;
  std::vector<std::string> others;
  for (std::string& key : keys) {
    KVD_TRY_ASSIGN(const Reply reply, peer_.Receive());
    if (IsWrongType(reply)) {
      others.push_back(std::move(key));
    } else if (reply.type != ReplyType::kInteger) {
      return Unexpected(peer_.Refusal(reply, "STRLEN"));
    } else {
      found.push_back(
          {.key = std::move(key), .size = reply.integer, .expires = true});
    }
  }
  for (const std::string& key : others) {
    KVD_TRY(ListOther(database, key));
  }
  return found;
}

Attempt<void> ServerReader::ListOther(int64_t database,
                                      const std::string& key) {
  KVD_TRY_ASSIGN(const Reply type, peer_.Call({"TYPE", key}));
  others_.Add(database, key, type.text);
  return {};
}

Attempt<void> ServerReader::Read(int64_t database,
                                 std::span<const KeyToRead> keys,
                                 std::vector<Record>* records) {
  KVD_TRY(peer_.Select(database));
  const size_t first = records->size();
  if (peer_.is_kvd()) {
    std::vector<KeyToRead> left(keys.begin(), keys.end());
    for (int attempt = 1; !left.empty(); ++attempt) {
      std::vector<KeyToRead> again;
      KVD_TRY(ReadKvd(left, attempt >= kAttemptsMax, records, &again));
      left = std::move(again);
    }
  } else {
    KVD_TRY(ReadRedis(database, keys, records));
  }
  for (size_t i = first; i < records->size(); ++i) {
    (*records)[i].database = database;
  }
  return {};
}

// KV.GET tells the milliseconds left, and PEXPIRETIME the deadline. If the key
// is at the same revision before and after, they belong together.
Attempt<void> ServerReader::ReadKvd(std::span<const KeyToRead> keys,
                                    bool settle, std::vector<Record>* records,
                                    std::vector<KeyToRead>* again) {
  for (const KeyToRead& key : keys) {
    if (key.expires) {
      KVD_TRY(peer_.Send({"KV.GET", key.key, "META"}));
      KVD_TRY(peer_.Send({"PEXPIRETIME", key.key}));
    }
    KVD_TRY(peer_.Send({"KV.GET", key.key}));
  }
  for (const KeyToRead& key : keys) {
    Reply before;
    Reply deadline;
    if (key.expires) {
      KVD_TRY_ASSIGN(before, peer_.Receive());
      KVD_TRY_ASSIGN(deadline, peer_.Receive());
    }
    KVD_TRY_ASSIGN(Reply reply, peer_.Receive());
    if (reply.is_null()) continue;
    if (!IsState(reply) || !reply.elements[0].is_text()) {
      return Unexpected(peer_.Refusal(reply, "KV.GET"));
    }
    const int64_t revision = reply.elements[1].integer;
    Record record = {.key = key.key,
                     .value = std::move(reply.elements[0].text),
                     .revision = revision};
    if (reply.elements[2].integer >= 0) {
      const bool same =
          IsState(before) && before.elements[1].integer == revision;
      const bool known = deadline.integer > 0;
      if (!known || (!same && !settle)) {
        again->push_back({.key = key.key, .size = key.size, .expires = true});
        continue;
      }
      record.expires_ms = deadline.integer;
    }
    records->push_back(std::move(record));
  }
  return {};
}

Attempt<void> ServerReader::ReadRedis(int64_t database,
                                      std::span<const KeyToRead> keys,
                                      std::vector<Record>* records) {
  const bool absolute = peer_.knows_deadlines();
  const std::string_view deadline = absolute ? "PEXPIRETIME" : "PTTL";
  for (const KeyToRead& key : keys) {
    KVD_TRY(peer_.Send({"MULTI"}));
    KVD_TRY(peer_.Send({"GET", key.key}));
    KVD_TRY(peer_.Send({deadline, key.key}));
    KVD_TRY(peer_.Send({"EXEC"}));
  }
  std::vector<std::string> others;
  for (const KeyToRead& key : keys) {
    for (const std::string_view command : {"MULTI", "GET", "PEXPIRETIME"}) {
      KVD_TRY_ASSIGN(const Reply reply, peer_.Receive());
      if (reply.is_error()) return Unexpected(peer_.Refusal(reply, command));
    }
    KVD_TRY_ASSIGN(Reply reply, peer_.Receive());
    if (reply.elements.size() != 2) {
      return Unexpected(peer_.Refusal(reply, "EXEC"));
    }
    Reply& value = reply.elements[0];
    if (value.is_null()) continue;
    if (IsWrongType(value)) {
      others.push_back(key.key);
      continue;
    }
    if (!value.is_text()) return Unexpected(peer_.Refusal(value, "GET"));
    Record record = {.key = key.key, .value = std::move(value.text)};
    const int64_t time = reply.elements[1].integer;
    if (time >= 0) {
      record.expires_ms = absolute ? time : kvd::SystemClock().WallMs() + time;
    }
    records->push_back(std::move(record));
  }
  for (const std::string& key : others) KVD_TRY(ListOther(database, key));
  return {};
}

}  // namespace kvctl
