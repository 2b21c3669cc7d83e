// SPDX-License-Identifier: MIT
//
// A client with the words that tests speak in.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_fd.h"
#include "etcd/api.h"
#include "etcd/client.h"

namespace kvd::etcd {

constexpr int64_t kTestTimeoutMs = 30'000;

Op Put(std::string key, std::string value);
Op Delete(std::string key);
Op Get(std::string key);
Compare IfRevision(std::string key, int64_t revision);
Compare IfValue(std::string key, std::string value);
// "a=1 b=2".
std::string Text(const std::vector<KeyValue>& found);

class TestClient {
 public:
  explicit TestClient(const std::vector<std::string>& endpoints,
                      CertificateFiles certificates = {});

  Api& api() { return *api_; }

  // Runs what comes until `done` says so; false after many steps without that.
  bool Await(const std::function<bool()>& done);
  void PollOnce();

  Result<TxnResponse> Txn(TxnRequest request, int64_t ms = kTestTimeoutMs);
  Result<RangeResponse> Range(RangeRequest request,
                              int64_t ms = kTestTimeoutMs);
  std::vector<MemberStatus> Status(int64_t ms = kTestTimeoutMs);
  // The revision, 0 when it failed.
  int64_t PutOne(const std::string& key, const std::string& value);

 private:
  EventFd event_fd_;
  std::unique_ptr<Api> api_;
};

// What a watch was told.
class WatchLog {
 public:
  WatchLog(TestClient& client, const std::string& prefix,
           int64_t from_revision);

  // "1 a=1 b=2|2 -a": revisions, counted from `from`, with their changes.
  std::string Text(int64_t from) const;
  const std::vector<WatchUpdate>& updates() const { return updates_; }
  size_t events() const { return events_; }
  int64_t revision() const { return revision_; }
  const std::optional<Error>& end() const { return end_; }
  Watch& watch() { return *watch_; }
  void Stop() { watch_.reset(); }

 private:
  std::vector<WatchUpdate> updates_;
  size_t events_ = 0;
  int64_t revision_ = 0;
  std::optional<Error> end_;
  std::unique_ptr<Watch> watch_;
};

}  // namespace kvd::etcd
