// SPDX-License-Identifier: MIT
#include "etcd/engine/cluster_status.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

namespace kvd::etcd {
namespace {

// A member that has not answered by then counts as away.
constexpr int64_t kAnswerMs = 2000;
// Of the quota: then there is a warning.
constexpr int64_t kNearPercent = 80;
// etcd's quota where it does not say and nothing else was set, and the largest
// that its makers recommend. Source: etcd's documentation, "Storage size
// limit".
constexpr int64_t kUsualQuota = int64_t{2} << 30;
constexpr int64_t kLargestQuota = int64_t{8} << 30;
constexpr size_t kPeersShown = 32;

// On one line.
std::string Line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::string_view Role(const MemberStatus& member) {
  if (member.is_learner) return "learner";
  if (member.leader_id == 0) return "none";
  return member.leader_id == member.member_id ? "leader" : "follower";
}

std::string DescribeMember(const MemberStatus& member) {
  if (!member.error.empty()) {
    return fmt::format("endpoint={},error={}", member.endpoint,
                       Line(member.error));
  }
  return fmt::format(
      "endpoint={},version={},role={},revision={},db_bytes={},"
      "db_in_use_bytes={},quota_bytes={},alarms={}",
      member.endpoint, member.version, Role(member), member.revision,
      member.db_size_bytes, member.db_size_in_use_bytes, member.db_quota_bytes,
      fmt::join(member.alarms, " "));
}

std::string InMiB(int64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

}  // namespace

void ClusterStatus::Tick(int64_t now_ms, int64_t revision) {
  now_ms_ = now_ms;
  if (revision >= newest_own_) behind_since_ms_.reset();
  if (options_.interval_ms == 0 || asks_) return;
  if (asked_ms_ && now_ms - *asked_ms_ < options_.interval_ms) return;
  asked_ms_ = now_ms;
  Ask(revision);
}

void ClusterStatus::Ask(int64_t revision) {
  asks_ = true;
  api_.Status(kAnswerMs, [this](std::vector<MemberStatus> members) {
    TakeMembers(std::move(members));
  });
  RangeRequest request;
  request.key = sequences_;
  request.range_end = PrefixEnd(sequences_);
  request.keys_only = true;
  api_.Range(std::move(request), kAnswerMs,
             [this, revision](const Result<RangeResponse>& answer) {
               TakeNewest(revision, answer);
             });
}

void ClusterStatus::TakeMembers(std::vector<MemberStatus> members) {
  asks_ = false;
  answered_ms_ = now_ms_;
  members_ = std::move(members);
  for (const MemberStatus& member : members_) {
    if (member.error.empty()) newest_ = std::max(newest_, member.revision);
  }
}

void ClusterStatus::TakeNewest(int64_t index_revision,
                               const Result<RangeResponse>& answer) {
  refusal_.clear();
  if (!answer) {
    if (answer.error().code() == ErrorCode::kInvalid) {
      refusal_ = answer.error().message();
    }
    return;
  }
  newest_ = answer->revision;  // Lower than before: etcd was restored.
  went_back_from_ = newest_ < index_revision ? index_revision : 0;
  newest_own_ = 0;
  for (const KeyValue& kv : answer->found) {
    newest_own_ = std::max(newest_own_, kv.mod_revision);
  }
  // The next Tick() finds out whether it is.
  if (!behind_since_ms_) behind_since_ms_ = now_ms_;
  Try();
}

// --- How much of its past etcd keeps ----------------------------------------

int64_t ClusterStatus::oldest_revision() const {
  return kept_ == removed_ + 1 ? kept_ : 0;
}

// Halves what is between the two; else looks whether the oldest is still there.
void ClusterStatus::Try() {
  if (tries_ || newest_ == 0) return;
  if (removed_ >= newest_) removed_ = kept_ = 0;
  const int64_t revision = kept_ == 0 || oldest_revision() != 0
                               ? removed_ + 1
                               : removed_ + (kept_ - removed_) / 2;
  tries_ = true;
  RangeRequest request;
  request.key = sequences_;
  request.limit = 1;
  request.revision = revision;
  request.keys_only = true;
  api_.Range(std::move(request), kAnswerMs,
             [this, revision](const Result<RangeResponse>& answer) {
               TakeTry(revision, answer);
             });
}

void ClusterStatus::TakeTry(int64_t revision,
                            const Result<RangeResponse>& answer) {
  tries_ = false;
  if (answer) {
    kept_ = revision;
  } else if (answer.error().code() == ErrorCode::kCompacted) {
    removed_ = revision;
    if (kept_ <= revision) kept_ = newest_;
    removed_since_ms_ = now_ms_;
  } else {
    return;
  }
  if (oldest_revision() == 0 && kept_ > removed_) Try();
}

// --- For people -------------------------------------------------------------

BackingStatus ClusterStatus::Describe(
    const Own& own, const std::map<std::string, int64_t>& heard_ms_ago) const {
  BackingStatus status;
  status.title = "Etcd";
  std::vector<std::string> warnings;
  status.Add("etcd_index_revision", own.revision);
  if (answered_ms_) {
    status.Add("etcd_asked_ms_ago", own.now_ms - *answered_ms_);
    status.Add("etcd_revision", newest_);
    const bool is_behind = own.revision < newest_own_;
    status.Add("etcd_lag_revisions",
               is_behind ? newest_own_ - own.revision : int64_t{0});
    status.Add("etcd_lag_ms", is_behind && behind_since_ms_
                                  ? own.now_ms - *behind_since_ms_
                                  : int64_t{0});
    DescribeMembers(&status);
    DescribeSizes(&status);
    DescribeHistory(own.now_ms, &status, &warnings);
    JudgeSizes(&warnings);
    JudgeMembers(&status, &warnings);
  }
  status.Add("etcd_kvds", static_cast<int64_t>(heard_ms_ago.size()));
  size_t shown = 0;
  for (const auto& [id, heard_ms] : heard_ms_ago) {
    if (shown == kPeersShown) break;
    status.Add(fmt::format("etcd_kvd{}", shown++),
               fmt::format("id={},self={},heard_ms_ago={}", id,
                           id == own.id ? 1 : 0, heard_ms));
  }
  if (!own.warning.empty()) warnings.push_back(own.warning);
  for (size_t i = 0; i < warnings.size(); ++i) {
    status.Add(fmt::format("etcd_warning{}", i), warnings[i]);
  }
  return status;
}

void ClusterStatus::DescribeMembers(BackingStatus* status) const {
  const auto healthy = std::ranges::count_if(
      members_, [](const MemberStatus& m) { return m.error.empty(); });
  status->Add("etcd_leader", Leader().value_or("none"));
  status->Add("etcd_endpoints", static_cast<int64_t>(members_.size()));
  status->Add("etcd_endpoints_answering", static_cast<int64_t>(healthy));
  for (size_t i = 0; i < members_.size(); ++i) {
    status->Add(fmt::format("etcd_endpoint{}", i), DescribeMember(members_[i]));
  }
}

// By its endpoint, or, if that is not among kvd's, by its id.
std::optional<std::string> ClusterStatus::Leader() const {
  uint64_t leader = 0;
  for (const MemberStatus& member : members_) {
    if (!member.error.empty() || member.leader_id == 0) continue;
    if (member.leader_id == member.member_id) return member.endpoint;
    leader = member.leader_id;
  }
  if (leader == 0) return std::nullopt;
  return fmt::format("{:x}", leader);
}

void ClusterStatus::DescribeSizes(BackingStatus* status) const {
  int64_t size = 0;
  int64_t in_use = 0;
  int64_t quota = 0;
  std::set<std::string> alarms;
  for (const MemberStatus& member : members_) {
    if (!member.error.empty()) continue;
    size = std::max(size, member.db_size_bytes);
    in_use = std::max(in_use, member.db_size_in_use_bytes);
    quota = std::max(quota, member.db_quota_bytes);
    alarms.insert(member.alarms.begin(), member.alarms.end());
  }
  status->Add("etcd_db_bytes", size);
  status->Add("etcd_db_in_use_bytes", in_use);
  status->Add("etcd_quota_bytes", quota);
  status->Add("etcd_alarms", fmt::format("{}", fmt::join(alarms, " ")));
}

void ClusterStatus::DescribeHistory(int64_t now_ms, BackingStatus* status,
                                    std::vector<std::string>* warnings) const {
  const int64_t oldest = oldest_revision();
  if (oldest == 0) return;
  const int64_t history = std::max<int64_t>(newest_ - oldest, 0);
  status->Add("etcd_oldest_revision", oldest);
  status->Add("etcd_history_revisions", history);
  if (history < options_.history_warn_revisions) return;
  if (removed_ > 0 && now_ms - removed_since_ms_ < options_.history_warn_ms) {
    return;
  }
  warnings->push_back(fmt::format(
      "nobody compacts etcd's history: it keeps {} revisions, and grows until "
      "its quota is reached; then writes are refused. Start each etcd with "
      "--auto-compaction-mode=periodic --auto-compaction-retention=1h",
      history));
}

void ClusterStatus::JudgeSizes(std::vector<std::string>* warnings) const {
  for (const MemberStatus& member : members_) {
    if (!member.error.empty()) continue;
    const int64_t size = member.db_size_bytes;
    const bool says = member.db_quota_bytes > 0;
    const int64_t quota = says                 ? member.db_quota_bytes
                          : size < kUsualQuota ? kUsualQuota
                                               : kLargestQuota;
    if (size < quota / 100 * kNearPercent) continue;
    warnings->push_back(fmt::format(
        "etcd's database at {} has {}, near {}, {}; beyond it writes are "
        "refused. {} of it are in use: compact and defragment it, or raise "
        "--quota-backend-bytes",
        member.endpoint, InMiB(size), InMiB(quota),
        says ? "its quota" : "which is the usual quota",
        InMiB(member.db_size_in_use_bytes)));
  }
}

bool ClusterStatus::HasAlarm(std::string_view alarm) const {
  return std::ranges::any_of(members_, [&](const MemberStatus& member) {
    return std::ranges::find(member.alarms, alarm) != member.alarms.end();
  });
}

void ClusterStatus::JudgeMembers(BackingStatus* status,
                                 std::vector<std::string>* warnings) const {
  for (const MemberStatus& member : members_) {
    if (member.error.empty()) continue;
    warnings->push_back(
        fmt::format("etcd at {}: {}", member.endpoint, Line(member.error)));
  }
  if (HasAlarm("CORRUPT")) {
    status->state = "damaged";
    status->reason =
        "etcd has found its members to differ (alarm CORRUPT); replace the "
        "member that it names: etcdctl alarm list";
  } else if (HasAlarm("NOSPACE")) {
    status->state = "full";
    status->reason =
        "etcd has no space left (alarm NOSPACE): writes are refused. Compact "
        "and defragment it or raise its quota, then: etcdctl alarm disarm";
  } else if (went_back_from_ != 0) {
    status->state = "damaged";
    status->reason = fmt::format(
        "etcd has gone back from revision {} to {}, as if emptied or restored "
        "while kvd ran, which has the keys of before: start all kvds again",
        went_back_from_, newest_);
  } else if (!Leader()) {
    status->state = "degraded";
    status->reason = "etcd has no leader, or cannot be reached";
  } else if (!refusal_.empty()) {
    status->state = "degraded";
    status->reason = "etcd refuses what kvd asks: " + Line(refusal_);
  }
}

}  // namespace kvd::etcd
