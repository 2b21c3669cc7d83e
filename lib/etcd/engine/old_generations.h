// SPDX-License-Identifier: MIT
//
// Removes from etcd what a flush has left there: keys of generations that do
// not count any more, nor ever will again. Numbers of generations only grow, so
// whoever knows the one that counts may remove what is below it; two that do it
// at once do no harm.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "etcd/api.h"
#include "etcd/engine/names.h"
#include "etcd/engine/shared_index.h"

namespace kvd::etcd {

// Thread: loop.
class OldGenerations {
 public:
  // References outlive it, but what is under way in `api`.
  OldGenerations(Api& api, const SharedIndex& index, const Names& names)
      : api_(api), index_(index), names_(names) {}

  // Each a bit: databases that this kvd has flushed, and others of which there
  // may be something left. Whoever has flushed goes first.
  void Note(uint32_t flushed, uint32_t others, int64_t now_ms);
  // Begins if it is time.
  void Tick(int64_t now_ms);

 private:
  // Of the names before and behind those of the generation that counts.
  enum class Side : uint8_t { kBefore, kBehind };

  void Begin(int database, Side side);
  void Look();
  void OnFound(const Result<RangeResponse>& found);
  void Remove(const RangeResponse& found);
  void GoOn();
  void Fail();

  Api& api_;
  const SharedIndex& index_;
  const Names& names_;

  std::array<int64_t, kDatabases> due_ms_ = {};  // 0: nothing is known of any.
  bool under_way_ = false;
  bool failed_ = false;  // The newest one, since Tick().

  // What is under way.
  int database_ = 0;
  Side side_ = Side::kBefore;
  std::string from_;
  std::string end_;
  bool more_ = false;
};

}  // namespace kvd::etcd
