// SPDX-License-Identifier: MIT
//
// All that a store has in memory, to be compared with what it had before: what
// an undone transaction leaves must be the same, field by field.
#pragma once

#include <string>
#include <vector>

#include "log/log_writer.h"
#include "store/memory/databases.h"
#include "store/store.h"

namespace kvd {

// Left out is what nobody can tell: how large tables have grown, beyond that
// they are counted as they are; which values were asked for; in which order
// keys of one deadline expire; who was judged expired.
class StoreState {
 public:
  explicit StoreState(const Store& store);

  // Of two states: the lines in which they differ, or "". The open group is not
  // compared with one that has left meanwhile.
  static std::string Compare(const StoreState& before, const StoreState& after);

  const LogWriter::Mark& log() const { return log_; }

 private:
  static const LogWriter& LogOf(const Store& store);
  void AddKeyspace(size_t number, const Keyspace& keyspace);
  void AddDatabases(const Databases& databases, const DatabaseMap& durable);
  void AddMemory(const Databases& databases);
  void AddUsage(const SegmentUsage& usage);

  std::vector<std::string> lines_;
  LogWriter::Mark log_;
  std::string log_line_;
  uint64_t groups_written_;
};

}  // namespace kvd
