// SPDX-License-Identifier: MIT
#include "salvage/verdict.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>
#include <utility>

namespace kvd {
namespace {

class Judge {
 public:
  Judge(const Keys& keys, const Losses& losses, const DatabaseMap& databases,
        const SalvageOptions& options)
      : keys_(keys), losses_(losses), databases_(databases), options_(options) {
    for (size_t client = 0; client < databases.internal.size(); ++client) {
      client_[databases.internal[client]] = static_cast<int>(client);
    }
  }

  Verdict Run() {
    for (const auto& [key, version] : keys_.newest()) JudgeKey(key, version);
    for (const auto& [key, version] : keys_.doubtful()) {
      if (!keys_.newest().contains(key)) JudgeDoubtful(key, version, 0);
    }
    for (const auto& [key, lost] : losses_.named) {
      if (keys_.newest().contains(key) || keys_.doubtful().contains(key)) {
        continue;
      }
      if (IsThere(key, lost)) {
        Doubt(DoubtfulKey::Why::kLost, key, 0, lost.seq);
      }
    }
    std::sort(verdict_.kept.begin(), verdict_.kept.end(),
              [](const Version& a, const Version& b) {
                return std::tie(a.place.segment, a.place.file, a.place.offset) <
                       std::tie(b.place.segment, b.place.file, b.place.offset);
              });
    std::sort(verdict_.doubtful.begin(), verdict_.doubtful.end(),
              [](const DoubtfulKey& a, const DoubtfulKey& b) {
                return std::tie(a.database, a.key) <
                       std::tie(b.database, b.key);
              });
    return std::move(verdict_);
  }

 private:
  // Whether this version, if it is the newest, means that the key is there.
  bool IsThere(std::string_view key, const Version& version) const {
    return version.kind == RecordKind::kPut && !IsFlushed(key, version) &&
           !HasExpired(version);
  }
  bool IsFlushed(std::string_view key, const Version& version) const {
    return version.seq <= databases_.flushed[DatabaseOf(key)];
  }
  bool HasExpired(const Version& version) const {
    return version.deadline_ms != 0 && version.deadline_ms <= options_.now_ms;
  }

  void JudgeKey(const std::string& key, const Version& version) {
    const auto doubtful = keys_.doubtful().find(key);
    if (doubtful != keys_.doubtful().end() &&
        doubtful->second.seq > version.seq) {
      JudgeDoubtful(key, doubtful->second, version.seq);
      return;
    }
    const auto lost = losses_.named.find(key);
    const bool replaced =
        lost != losses_.named.end() && lost->second.seq > version.seq;
    if (replaced && !IsThere(key, lost->second)) return;
    if (!IsThere(key, version)) {
      if (HasExpired(version) && !IsFlushed(key, version)) ++verdict_.expired;
      if (replaced) Doubt(DoubtfulKey::Why::kLost, key, 0, lost->second.seq);
      return;
    }
    if (replaced) {
      Doubt(DoubtfulKey::Why::kReplaced, key, version.seq, lost->second.seq);
    } else if (version.seq <= losses_.unknown_last_seq) {
      Doubt(DoubtfulKey::Why::kPerhapsChanged, key, version.seq, 0);
    }
    const bool certain = !replaced && version.seq > losses_.unknown_last_seq;
    if (certain || options_.uncertain) verdict_.kept.push_back(version);
  }

  void JudgeDoubtful(const std::string& key, const Version& version,
                     uint64_t certain_seq) {
    if (!IsThere(key, version)) return;
    const auto lost = losses_.named.find(key);
    if (lost != losses_.named.end() && lost->second.seq > version.seq &&
        !IsThere(key, lost->second)) {
      return;
    }
    Doubt(certain_seq == 0 ? DoubtfulKey::Why::kPerhapsDeleted
                           : DoubtfulKey::Why::kPerhapsChanged,
          key, version.seq, 0);
    if (options_.uncertain) verdict_.kept.push_back(version);
  }

  void Doubt(DoubtfulKey::Why why, std::string_view key, uint64_t seq,
             uint64_t lost_seq) {
    verdict_.doubtful.push_back({why, client_[DatabaseOf(key)],
                                 std::string(KeyOf(key)), seq, lost_seq});
  }

  const Keys& keys_;
  const Losses& losses_;
  const DatabaseMap& databases_;
  const SalvageOptions& options_;
  std::array<int, kInternalDatabases> client_ = {};
  Verdict verdict_;
};

}  // namespace

Verdict JudgeKeys(const Keys& keys, const Losses& losses,
                  const DatabaseMap& databases, const SalvageOptions& options) {
  return Judge(keys, losses, databases, options).Run();
}

}  // namespace kvd
