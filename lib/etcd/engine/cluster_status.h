// SPDX-License-Identifier: MIT
//
// How etcd is, for people: asked for now and then beside all commands, so that
// whoever wants to know it does not wait. Also how much of its past etcd keeps:
// it does not say, so that revisions are tried.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "etcd/api.h"
#include "store/backing_status.h"

namespace kvd::etcd {

struct ClusterStatusOptions {
  int64_t interval_ms = 0;  // 0: never.
  // Warn when etcd keeps more revisions than this, and has compacted none of
  // them for history_warn_ms, or never.
  int64_t history_warn_revisions = 100'000;
  int64_t history_warn_ms = 2 * 3600 * 1000;
};

// Thread: loop.
class ClusterStatus {
 public:
  // `sequences`: what the kvds' own keys begin with. `api` outlives it, and
  // calls nothing afterwards.
  ClusterStatus(Api& api, std::string sequences, ClusterStatusOptions options)
      : api_(api), sequences_(std::move(sequences)), options_(options) {}
  ClusterStatus(const ClusterStatus&) = delete;
  ClusterStatus& operator=(const ClusterStatus&) = delete;

  // Asks, if it is time to. Of this kvd's index: up to where it is.
  void Tick(int64_t now_ms, int64_t revision);

  // What this kvd knows by itself.
  struct Own {
    std::string id;
    int64_t now_ms = 0;        // Monotonic.
    int64_t revision = 0;      // Of the index.
    std::string warning = {};  // What people should know; empty: nothing.
  };
  // `heard_ms_ago`: of the kvds that share the keys, by their ids.
  BackingStatus Describe(
      const Own& own, const std::map<std::string, int64_t>& heard_ms_ago) const;

  // The oldest revision that etcd has; 0 while that is not known.
  int64_t oldest_revision() const;

 private:
  void Ask(int64_t revision);
  void TakeMembers(std::vector<MemberStatus> members);
  void TakeNewest(int64_t index_revision, const Result<RangeResponse>& answer);
  void Try();
  void TakeTry(int64_t revision, const Result<RangeResponse>& answer);

  void DescribeMembers(BackingStatus* status) const;
  void DescribeSizes(BackingStatus* status) const;
  void DescribeHistory(int64_t now_ms, BackingStatus* status,
                       std::vector<std::string>* warnings) const;
  void JudgeSizes(std::vector<std::string>* warnings) const;
  void JudgeMembers(BackingStatus* status,
                    std::vector<std::string>* warnings) const;
  std::optional<std::string> Leader() const;
  bool HasAlarm(std::string_view alarm) const;

  Api& api_;
  const std::string sequences_;
  const ClusterStatusOptions options_;

  std::optional<int64_t> asked_ms_;
  bool asks_ = false;
  std::optional<int64_t> answered_ms_;
  int64_t now_ms_ = 0;  // Of the last Tick().
  std::vector<MemberStatus> members_;
  int64_t newest_ = 0;   // Revision of the cluster.
  std::string refusal_;  // etcd's words, if it has refused the last request.
  int64_t went_back_from_ = 0;  // To newest_, if it has: 0 if not.

  // Of kvd's own changes, as etcd has it, and since when the index is behind.
  int64_t newest_own_ = 0;
  std::optional<int64_t> behind_since_ms_;

  // etcd has removed this one; the other one it has: what it keeps begins
  // between them.
  int64_t removed_ = 0;
  int64_t kept_ = 0;  // 0: not known.
  bool tries_ = false;
  int64_t removed_since_ms_ = 0;  // When removed_ became what it is.
};

}  // namespace kvd::etcd
