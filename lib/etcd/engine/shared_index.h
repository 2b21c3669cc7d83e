// SPDX-License-Identifier: MIT
//
// The index as etcd has it: what a start loads and what the watch tells goes
// in. It is as of one revision, with this kvd's own changes perhaps ahead.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/log_sink.h"
#include "etcd/api.h"
#include "etcd/engine/names.h"
#include "etcd/engine/peer_clocks.h"
#include "store/store_core.h"

namespace kvd::etcd {

// Thread: loop; the start's until there is one.
class SharedIndex {
 public:
  // References outlive it.
  SharedIndex(StoreCore& core, const Names& names, PeerClocks& clocks,
              const LogSink& log)
      : core_(core), names_(names), clocks_(clocks), log_(log) {}

  // A key as it was loaded. Generations come before all others.
  void Load(const KeyValue& kv);
  // What the watch tells, while no change of this kvd can be undone.
  void Apply(const WatchUpdate& update);

  // Empty again; whoever watches keys is told that they have changed.
  void Clear();

  // All up to this one is in.
  int64_t revision() const { return revision_; }
  void set_revision(int64_t revision) { revision_ = revision; }
  // Something that is in is as of that one.
  void NoteNewest(int64_t revision) { newest_ = std::max(newest_, revision); }

  struct Generation {
    uint64_t number = 0;
    int64_t mod_revision = 0;  // Of its key; 0: there is none.
  };
  const Generation& generation(int database) const {
    return generations_[static_cast<size_t>(database)];
  }
  // A flush of this kvd's that etcd took.
  void Flushed(int database, int64_t revision);
  // Databases of which there are keys of old generations in etcd, or may be,
  // since the last call, each a bit: as this kvd has flushed them; all others.
  uint32_t TakeFlushed() { return std::exchange(flushed_, 0); }
  uint32_t TakeOutdated() { return std::exchange(outdated_, 0); }
  // Somebody has changed a generation as no kvd does: all has to be loaded
  // anew.
  bool must_reload() const { return must_reload_; }

  // The mod_revision in etcd of a key that is not here: 0, but where somebody
  // else has given it a value that is none of kvd's. To kvd it is absent.
  int64_t RevisionOfAbsent(int database, std::string_view key) const;

  // What is known of the kvds that have keys here, by their ids; this one's
  // included.
  struct Peer {
    int64_t clock_ms = 0;       // Its own, when it wrote the newest of them.
    int64_t mod_revision = 0;   // Of its sequence key; 0: there is none.
    int64_t beat_revision = 0;  // Of its beat; 0: there is none.
  };
  const std::map<std::string, Peer, std::less<>>& peers() const {
    return peers_;
  }
  // Of its sequence key; 0: there is none.
  int64_t SequenceOf(std::string_view id) const;
  // Whether all sequence keys, as etcd has them, go with what is here: false if
  // they were others at revision().
  bool Fits(const RangeResponse& sequences) const;
  // The mod_revision of the sequence key that was moved last.
  int64_t newest_sequence() const { return newest_sequence_; }

 private:
  void ApplyEvent(const Event& event);
  void ApplyData(const Name& name, const Event& event);
  void ApplyGeneration(const Name& name, const Event& event);
  void NoteIfExpired(const Name& name, const Entry* old, Seq seq);
  bool IsNews(const Entry* entry, const Event& event) const;
  void ApplyPeer(const Name& name, const Event& event);
  void HearBeat(const Name& name, const Event& event);
  void NoteForeign(const Name& name, const Event& event, bool is_foreign);
  void ForgetForeign(int database);
  void WarnOfForeign(std::string_view name);

  StoreCore& core_;
  const Names& names_;
  PeerClocks& clocks_;
  const LogSink& log_;
  int64_t revision_ = 0;
  int64_t newest_ = 0;
  std::array<Generation, kDatabases> generations_ = {};
  std::map<std::string, Peer, std::less<>> peers_;
  int64_t newest_sequence_ = 0;
  uint32_t flushed_ = 0;
  uint32_t outdated_ = 0;
  bool must_reload_ = false;
  // RevisionOfAbsent() of those for which it is not 0.
  std::map<std::pair<int, std::string>, int64_t> foreign_;
  bool warned_ = false;
};

}  // namespace kvd::etcd
