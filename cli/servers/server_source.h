// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/records/record_source.h"
#include "cli/servers/other_types.h"
#include "cli/servers/peer.h"
#include "cli/servers/server_reader.h"

namespace kvctl {

struct KeySelection {
  std::string pattern = "*";             // SCAN's MATCH.
  std::optional<int64_t> database = {};  // Without it all.
};

// The keys of a server, by SCAN, in memory for a page of keys and a few values.
// A key that is there from the beginning to the end comes at least once; one
// that is added or removed meanwhile may come, and a key may come twice.
class ServerSource final : public RecordSource {
 public:
  // Asks which databases have keys. Both must outlive it.
  static Attempt<std::unique_ptr<ServerSource>> Open(
      Peer* peer, const KeySelection& selection, OtherTypes* others);

  // Whether records come from another database than 0, or may come from
  // several.
  bool has_databases() const;
  const std::vector<std::pair<int64_t, int64_t>>& databases() const {
    return databases_;
  }

  Attempt<bool> Next(std::vector<Record>* page) override;
  // In keys.
  Progress progress() const override;
  // After the values of a page of SCAN.
  bool CanPause() const override { return next_key_ == keys_.size(); }
  void Save(Checkpoint* checkpoint) const override;
  Attempt<void> Resume(const Checkpoint& checkpoint) override;

 private:
  ServerSource(Peer* peer, KeySelection selection, OtherTypes* others)
      : peer_(*peer), selection_(std::move(selection)), reader_(peer, others) {}

  Attempt<std::vector<std::string>> Scan(const char* count);

  Peer& peer_;
  const KeySelection selection_;
  ServerReader reader_;
  std::string run_id_;

  // Of each database that has keys, how many.
  std::vector<std::pair<int64_t, int64_t>> databases_;
  size_t database_ = 0;  // The current one's index.
  std::string cursor_ = "0";
  bool ended_ = false;  // SCAN of the current database.

  std::vector<KeyToRead> keys_;  // Of a page of SCAN.
  size_t next_key_ = 0;
  int64_t keys_done_ = 0;
};

}  // namespace kvctl
