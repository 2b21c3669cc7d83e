// SPDX-License-Identifier: MIT
#include "tests/store/promises/store_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <string_view>

#include "store/local_store.h"

namespace kvd {
namespace {

std::string Describe(const Entry& entry) {
  std::string line = fmt::format("change {} at {}/{}, {} bytes", entry.seq(),
                                 entry.place().segment, entry.place().offset,
                                 entry.value_size());
  if (entry.is_ghost()) line += ", a ghost";
  line += entry.is_cold()
              ? ", cold"
              : fmt::format(", \"{}…\" {:x}", entry.value().substr(0, 12),
                            std::hash<std::string_view>()(entry.value()));
  if (!entry.has_deadline()) return line;
  const bool queued = entry.queue_position() != Entry::kNotQueued;
  return line + fmt::format(", expires at {}{}", entry.deadline_ms(),
                            queued ? "" : ", not queued");
}

// What is wrong with the queue of these entries, by their positions.
std::string CheckQueue(const std::vector<const Entry*>& entries, size_t size) {
  constexpr size_t kChildren = 4;
  std::vector<const Entry*> heap(size, nullptr);
  for (const Entry* entry : entries) {
    if (entry->queue_position() < size) heap[entry->queue_position()] = entry;
  }
  for (size_t i = 0; i < size; ++i) {
    if (heap[i] == nullptr) return fmt::format("nobody is at {}", i);
    const Entry* parent = heap[i == 0 ? 0 : (i - 1) / kChildren];
    if (parent->deadline_ms() > heap[i]->deadline_ms()) {
      return fmt::format("{} is behind a later one", i);
    }
  }
  return "in order";
}

}  // namespace

const LogWriter& StoreState::LogOf(const Store& store) {
  return *static_cast<const LocalStore&>(store).log_;
}

StoreState::StoreState(const Store& store)
    : log_(LogOf(store).MarkEnd()),
      groups_written_(LogOf(store).groups_written()) {
  const StoreCore& core = store.core_;
  for (size_t i = 0; i < kDatabases; ++i) {
    AddKeyspace(i, core.databases->Internal(i));
  }
  AddDatabases(*core.databases, LogOf(store).manifest().databases);
  AddMemory(*core.databases);
  AddUsage(core.databases->usage());
  lines_.push_back(fmt::format(
      "removals {}, tables {} of {}, freed {}, expired {}",
      core.removals.size(), core.cleared.size(), core.cleared.cleared(),
      core.cleared.freed(), core.changes.expired_keys()));
  log_line_ = fmt::format(
      "log: next {}, open group {} records, {} bytes, since {}; wanted {}, {} "
      "database changes",
      log_.next_seq, log_.records, log_.body_bytes, log_.open_since_ns,
      log_.wanted_seq, log_.database_changes);
}

void StoreState::AddKeyspace(size_t number, const Keyspace& keyspace) {
  std::map<std::string, std::string> by_key;
  std::vector<const Entry*> with_deadline;
  uint64_t cursor = 0;
  do {
    cursor = keyspace.index().Scan(cursor, 1000, [&](const Entry& entry) {
      by_key[std::string(entry.key())] = Describe(entry);
      if (entry.has_deadline()) with_deadline.push_back(&entry);
    });
  } while (cursor != 0);
  for (const auto& [key, line] : by_key) {
    lines_.push_back(fmt::format("{}/{}: {}", number, key, line));
  }
  lines_.push_back(fmt::format(
      "{}: {} keys, {} ghosts, changed {}, flushed {}; {} deadlines, {}",
      number, keyspace.size(), keyspace.index().size() - keyspace.size(),
      keyspace.last_change(), keyspace.flushed(), keyspace.deadlines().size(),
      CheckQueue(with_deadline, keyspace.deadlines().size())));
}

void StoreState::AddDatabases(const Databases& databases,
                              const DatabaseMap& durable) {
  for (int i = 0; i < kDatabases; ++i) {
    const auto at = static_cast<size_t>(i);
    lines_.push_back(
        fmt::format("client's {}: {}, swapped {}; durable {}, flushed {}", i,
                    databases.map().internal[at], databases.swapped(i),
                    durable.internal[at], durable.flushed[at]));
  }
}

void StoreState::AddMemory(const Databases& databases) {
  MemoryUse memory = databases.memory();
  // Of tables that are in use sizes may differ.
  for (const auto& keyspace : databases.all()) {
    memory.index_bytes -= keyspace->index().memory_bytes();
    memory.deadline_bytes -= keyspace->deadlines().memory_bytes();
  }
  lines_.push_back(fmt::format(
      "memory: entries {}, values {}, evictable {}, cleared tables {}, their "
      "queues {}, queued {}, kept {}",
      memory.entry_bytes, memory.value_bytes, memory.evictable_bytes,
      memory.index_bytes, memory.deadline_bytes, memory.queued_bytes,
      memory.kept_bytes));
}

void StoreState::AddUsage(const SegmentUsage& usage) {
  lines_.push_back(
      fmt::format("live {}, dead {}", usage.live_bytes(), usage.dead_bytes()));
  for (const auto& [segment, use] : usage.all()) {
    if (use == SegmentUse()) continue;
    lines_.push_back(fmt::format(
        "segment {}: live {}, dead {}, dead puts {}, pinned {}", segment,
        use.live_bytes, use.dead_bytes, use.dead_puts, use.pinned_bytes));
  }
}

std::string StoreState::Compare(const StoreState& before,
                                const StoreState& after) {
  std::vector<std::string> gone;
  std::vector<std::string> come;
  const auto sorted = [](std::vector<std::string> lines) {
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  const std::vector<std::string> a = sorted(before.lines_);
  const std::vector<std::string> b = sorted(after.lines_);
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(),
                      std::back_inserter(gone));
  std::set_difference(b.begin(), b.end(), a.begin(), a.end(),
                      std::back_inserter(come));
  std::string text;
  for (const std::string& line : gone) text += "- " + line + "\n";
  for (const std::string& line : come) text += "+ " + line + "\n";
  if (before.groups_written_ == after.groups_written_ &&
      before.log_line_ != after.log_line_) {
    text += "- " + before.log_line_ + "\n+ " + after.log_line_ + "\n";
  }
  return text;
}

}  // namespace kvd
