// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/records/record.h"
#include "cli/servers/other_types.h"
#include "cli/servers/peer.h"

namespace kvctl {

// What is known of a key before its value is read.
struct KeyToRead {
  std::string key;
  int64_t size;  // Of the value.
  bool expires;
};

// Reads keys of a server's current database with their deadlines, in pipelines.
// A record is what the key was at one moment: of kvd's the revision tells, and
// of Redis's a transaction sees to it.
class ServerReader {
 public:
  // Both must outlive it. `others` gets the keys that hold no strings.
  ServerReader(Peer* peer, OtherTypes* others)
      : peer_(*peer), others_(*others) {}

  // Finds the sizes of keys; leaves out those that are gone or no strings.
  Attempt<std::vector<KeyToRead>> LookUp(int64_t database,
                                         std::vector<std::string> keys);

  // Appends a record for each key that is still there. All values are in
  // memory at once.
  Attempt<void> Read(int64_t database, std::span<const KeyToRead> keys,
                     std::vector<Record>* records);

 private:
  Attempt<std::vector<KeyToRead>> LookUpInKvd(std::vector<std::string> keys);
  Attempt<std::vector<KeyToRead>> LookUpInRedis(int64_t database,
                                                std::vector<std::string> keys);
  Attempt<void> ReadKvd(std::span<const KeyToRead> keys, bool settle,
                        std::vector<Record>* records,
                        std::vector<KeyToRead>* again);
  Attempt<void> ReadRedis(int64_t database, std::span<const KeyToRead> keys,
                          std::vector<Record>* records);
  Attempt<void> ListOther(int64_t database, const std::string& key);

  Peer& peer_;
  OtherTypes& others_;
};

}  // namespace kvctl
