// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cli/failure.h"
#include "cli/servers/other_types.h"
#include "cli/servers/peer.h"
#include "cli/servers/server_reader.h"

namespace kvctl {

// All keys of a kvd, with the sizes of their values and no value, by SCAN: a
// key may come twice.
class KeyPages {
 public:
  // `peer` must outlive it.
  static Attempt<KeyPages> Open(Peer* peer);

  // The next ones, all of one database, perhaps none; false at the end.
  Attempt<bool> Next(std::vector<KeyToRead>* keys);
  // Of the keys that came last.
  int64_t database() const { return databases_[database_]; }
  // How many keys there were at the beginning, and how many have come.
  int64_t all() const { return all_; }
  int64_t done() const { return done_; }

 private:
  explicit KeyPages(Peer* peer) : peer_(peer) {}

  Attempt<std::vector<std::string>> Scan();

  Peer* peer_;
  std::vector<int64_t> databases_;  // That have keys.
  size_t database_ = 0;
  std::string cursor_ = "0";
  bool begun_ = false;  // The current database.
  int64_t all_ = 0;
  int64_t done_ = 0;
};

}  // namespace kvctl
