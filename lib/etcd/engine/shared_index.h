// SPDX-License-Identifier: MIT
//
// The index as etcd has it: what a start loads and what the watch tells goes
// in. It is as of one revision, with this kvd's own changes perhaps ahead.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "etcd/api.h"
#include "etcd/engine/names.h"
#include "store/store_core.h"

namespace kvd::etcd {

// Thread: loop; the start's until there is one.
class SharedIndex {
 public:
  // References outlive it.
  SharedIndex(StoreCore& core, const Names& names) : core_(core), names_(names) {}

  // A key as it was loaded. Generations come before all others.
  void Load(const KeyValue& kv);
  // What the watch tells, while no change of this kvd can be undone.
  void Apply(const WatchUpdate& update);

  // Empty again; whoever watches keys is told that they have changed.
  void Clear();

  // All up to this one is in.
  int64_t revision() const { return revision_; }
  void set_revision(int64_t revision) { revision_ = revision; }

  struct Generation {
    uint64_t number = 0;
    int64_t mod_revision = 0;  // Of its key; 0: there is none.
  };
  const Generation& generation(int database) const {
    return generations_[static_cast<size_t>(database)];
  }
  // A flush of this kvd's that etcd took.
  void Flushed(int database, int64_t revision) {
    auto& generation = generations_[static_cast<size_t>(database)];
    ++generation.number;
    generation.mod_revision = revision;
  }

  // What other kvds' sequence keys say, by their ids; this one's included.
  struct Peer {
    Sequence sequence;
    int64_t mod_revision = 0;
  };
  const std::map<std::string, Peer, std::less<>>& peers() const {
    return peers_;
  }

 private:
  void ApplyEvent(const Event& event);
  void ApplyData(const Name& name, const Event& event);
  void ApplyGeneration(const Name& name, const Event& event);
  bool IsNews(const Entry* entry, const Event& event) const;

  StoreCore& core_;
  const Names& names_;
  int64_t revision_ = 0;
  std::array<Generation, kDatabases> generations_ = {};
  std::map<std::string, Peer, std::less<>> peers_;
};

}  // namespace kvd::etcd
