// SPDX-License-Identifier: MIT
#include "tests/store/promises/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace kvd {
namespace {

// A stalled flush ends when somebody has waited for so many turns.
constexpr int kStalledTurns = 5;

// So much later a stop that still waits is looked at again.
constexpr int64_t kStopLookMs = 100;

// The key by which a reopened store shows that it takes writes.
const std::string kProbe = "after the crash";

std::string Describe(const std::pair<int, std::string>& place,
                     const Contents& contents) {
  const auto found = contents.find(place);
  if (found == contents.end()) return "nothing";
  const Held& held = found->second;
  return fmt::format("{}… ({} bytes, rev {}, deadline {})",
                     held.value.substr(0, 12), held.value.size(), held.seq,
                     held.deadline_ms);
}

// What differs between two states, a line a key.
std::vector<std::string> Differences(const Contents& expected,
                                     const Contents& found) {
  Contents places = expected;
  places.insert(found.begin(), found.end());
  std::vector<std::string> lines;
  for (const auto& [place, held] : places) {
    const std::string one = Describe(place, expected);
    const std::string other = Describe(place, found);
    if (one == other) continue;
    lines.push_back(fmt::format("  {}:{} should be {}, is {}\n", place.first,
                                place.second, one, other));
  }
  return lines;
}

std::string DescribeNearest(const History& history, const Contents& found) {
  size_t nearest = 0;
  std::vector<std::string> fewest = Differences(history.states.front(), found);
  for (size_t step = 1; step <= history.steps(); ++step) {
    std::vector<std::string> lines = Differences(history.states[step], found);
    if (lines.size() >= fewest.size()) continue;
    nearest = step;
    fewest = std::move(lines);
  }
  std::string text = fmt::format("nearest is step {}:\n", nearest);
  for (const std::string& line : fewest) text += line;
  return text;
}

// The store must take writes again, under revisions that nobody ever saw.
std::string CheckNewChange(Machine* machine, Seq newest_before,
                           SimFileSystem* disk) {
  if (!machine->Put(kProbe, "works")) {
    return disk->crashed() ? "" : "takes no writes";
  }
  const Seq fresh = machine->store().last_seq();
  if (fresh > newest_before) return "";
  return fmt::format("revision {} was given out before (newest was {})", fresh,
                     newest_before);
}

}  // namespace

Contents Swapped(const Contents& state, int one, int other) {
  Contents swapped;
  for (const auto& [place, held] : state) {
    const auto& [database, key] = place;
    const int to = database == one ? other : database == other ? one : database;
    swapped[{to, key}] = held;
  }
  return swapped;
}

Machine::Machine(SimFileSystem* disk, History* history, StoreOptions options)
    : disk_(*disk), history_(*history), options_(std::move(options)) {}

Machine::~Machine() {
  executor_.RunAll();
  maintenance_.RunAll();
  reads_.RunAll();
}

StoreOptions SmallStore(SyncMode sync) {
  StoreOptions options;
  options.sync = sync;
  options.segment_bytes = 16 * 1024;
  options.open_group_bytes_max = 8 * 1024;
  // When the test says so, and at once.
  options.compaction.interval_ms = 0;
  options.compaction.rate_bytes_per_s = 0;
  options.scrub.interval_ms = 0;
  options.backup_rate_bytes_per_s = 0;
  options.write_hints = false;
  options.hint_delay_ms = 0;
  return options;
}

StoreOptions SmallStoreWithHints(SyncMode sync) {
  StoreOptions options = SmallStore(sync);
  options.write_hints = true;
  return options;
}

Result<void> Machine::Open() {
  directory_ = disk_.OpenDirectory();
  KVD_TRY(directory_->Lock());
  Result<std::unique_ptr<Store>> store = Store::Open(
      *directory_, options_, {executor_, maintenance_, reads_}, clock_, [] {});
  if (!store) return Unexpected(store.error());
  store_ = std::move(*store);
  return {};
}

Room Machine::WaitForRoom(const std::function<Room(Operation&)>& reserve,
                          const std::function<void(Operation&)>& change,
                          int database) {
  for (int turn = 0; turn < turns_max_; ++turn) {
    Operation operation(*store_, database, &cold_);
    const Room room = reserve(operation);
    // A command that wants values has no effect, whatever reserve() said: that
    // is the operation's promise.
    if (room == Room::kReady) change(operation);
    if (cold_.wanted() && ReadWanted()) continue;
    if (cold_.wanted() || cold_.error()) {
      cold_.Abandon();
      return Room::kWait;
    }
    if (room == Room::kReady) {
      operation.KeepValues();
      return room;
    }
    if (room != Room::kWait || disk_.crashed() || store_->failure()) {
      return room;
    }
    executor_.RunOne();
    EndStall(turn);
    Turn();
  }
  return Room::kWait;
}

bool Machine::ReadWanted() {
  bool read = false;
  store_->Read(&cold_, [&read] { read = true; });
  for (int turn = 0; turn < turns_max_ && !read; ++turn) {
    store_->Pump();
    reads_.RunOne();
    store_->Poll();
  }
  return read;
}

void Machine::Record(Contents state) {
  history_.states.push_back(std::move(state));
  history_.last_seqs.push_back(store_->last_seq());
  history_.newest_seq = std::max(history_.newest_seq, store_->last_seq());
}

// A lookup that finds a key expired removes it, which is a step of its own.
const Entry* Machine::Find(Operation& operation, std::string_view key,
                           int database) {
  const Seq before = store_->last_seq();
  const Entry* entry = operation.Find(key);
  if (store_->last_seq() != before) {
    Contents state = history_.states.back();
    state.erase({database, std::string(key)});
    Record(std::move(state));
  } else if (entry == nullptr) {
    const Contents& state = history_.states.back();
    const auto held = state.find({database, std::string(key)});
    const auto now = static_cast<uint64_t>(clock_.WallMs());
    if (held != state.end() && held->second.deadline_ms != 0 &&
        held->second.deadline_ms <= now) {
      judged_.insert(held->second.seq);
    }
  }
  return entry;
}

bool Machine::Put(std::string_view key, std::string_view value,
                  int64_t deadline_ms, int database) {
  if (!is_open()) return false;
  return WaitForRoom(
             [&](Operation& operation) {
               Find(operation, key, database);
               return operation.Reserve(
                   Operation::PutBytes(key.size(), value.size()),
                   Purpose::kWrite);
             },
             [&](Operation& operation) {
               const Seq seq =
                   operation.Put(key, value, deadline_ms, KeyEvent::kSet);
               Contents state = history_.states.back();
               state[{database, std::string(key)}] = {
                   std::string(value), seq, static_cast<uint64_t>(deadline_ms)};
               Record(std::move(state));
             },
             database) == Room::kReady;
}

bool Machine::PutAll(
    const std::vector<std::pair<std::string, std::string>>& pairs) {
  if (!is_open()) return false;
  return WaitForRoom(
             [&](Operation& operation) {
               uint64_t bytes = 0;
               for (const auto& [key, value] : pairs) {
                 bytes += Operation::PutBytes(key.size(), value.size());
               }
               return operation.Reserve(bytes, Purpose::kWrite);
             },
             [&](Operation& operation) {
               Contents state = history_.states.back();
               for (const auto& [key, value] : pairs) {
                 const Seq seq = operation.Put(key, value, 0, KeyEvent::kSet);
                 state[{0, key}] = {value, seq, 0};
               }
               Record(std::move(state));
             },
             0) == Room::kReady;
}

bool Machine::Delete(std::string_view key, int database) {
  if (!is_open()) return false;
  bool found = false;
  const Room room = WaitForRoom(
      [&](Operation& operation) {
        found = Find(operation, key, database) != nullptr;
        if (!found) return operation.blocked();
        return operation.Reserve(Operation::RemoveBytes(key.size()),
                                 Purpose::kRemoval);
      },
      [&](Operation& operation) {
        if (!found) return;
        operation.Remove(key, KeyEvent::kDel);
        Contents state = history_.states.back();
        state.erase({database, std::string(key)});
        Record(std::move(state));
      },
      database);
  return room == Room::kReady && found;
}

bool Machine::Flush(int database) {
  if (!is_open()) return false;
  return WaitForRoom(
             [&](Operation& operation) {
               return operation.Reserve(Operation::RemoveBytes(0),
                                        Purpose::kRemoval);
             },
             [&](Operation& operation) {
               operation.FlushDatabase();
               Contents state = history_.states.back();
               std::erase_if(state, [&](const auto& item) {
                 return item.first.first == database;
               });
               Record(std::move(state));
             },
             database) == Room::kReady;
}

bool Machine::Swap(int one, int other) {
  if (!is_open()) return false;
  return WaitForRoom(
             [&](Operation& operation) {
               return operation.Reserve(Operation::SwapBytes(),
                                        Purpose::kWrite);
             },
             [&](Operation& operation) {
               operation.SwapDatabases(one, other);
               Record(Swapped(history_.states.back(), one, other));
             },
             one) == Room::kReady;
}

std::optional<std::string> Machine::Get(std::string_view key, int database) {
  if (!is_open()) return std::nullopt;
  read_failed_ = false;
  while (true) {
    Operation operation(*store_, database, &cold_);
    const Entry* entry = Find(operation, key, database);
    KVD_CHECK(operation.blocked() == Room::kReady);
    if (entry == nullptr) return std::nullopt;
    std::string value(operation.Value(*entry));
    if (cold_.wanted() && ReadWanted()) continue;
    if (cold_.wanted() || cold_.error()) {
      value = cold_.error() ? cold_.error()->message() : "(is not read)";
      cold_.Abandon();
      read_failed_ = true;
      return value;
    }
    operation.KeepValues();
    return value;
  }
}

bool Machine::Append(std::string_view key, std::string_view suffix,
                     int database) {
  if (!is_open()) return false;
  bool found = false;
  std::string value;
  const Room room = WaitForRoom(
      [&](Operation& operation) {
        const Entry* old = Find(operation, key, database);
        found = old != nullptr;
        if (!found) return operation.blocked();
        value.assign(operation.Value(*old)).append(suffix);
        return operation.Reserve(Operation::PutBytes(key.size(), value.size()),
                                 Purpose::kWrite);
      },
      [&](Operation& operation) {
        if (!found) return;
        const Seq seq = operation.Put(key, value, 0, KeyEvent::kSet);
        Contents state = history_.states.back();
        Held& held = state[{database, std::string(key)}];
        // By the history, not by what was read.
        held = {held.value + std::string(suffix), seq, 0};
        Record(std::move(state));
      },
      database);
  return room == Room::kReady && found;
}

bool Machine::Move(std::string_view key, int from, int to) {
  if (!is_open()) return false;
  const Entry* entry = nullptr;
  std::string_view value;
  const Room room = WaitForRoom(
      [&](Operation& operation) {
        entry = Find(operation, key, from);
        if (entry == nullptr) return operation.blocked();
        value = operation.Value(*entry);
        return operation.Reserve(Operation::PutBytes(key.size(), value.size()) +
                                     Operation::RemoveBytes(key.size()),
                                 Purpose::kWrite);
      },
      [&](Operation& operation) {
        if (entry == nullptr) return;
        operation.UseDatabase(to);
        const Seq seq = operation.Put(key, value, 0, KeyEvent::kSet);
        operation.UseDatabase(from);
        operation.Remove(key, KeyEvent::kDel);
        Contents state = history_.states.back();
        Held held = state.at({from, std::string(key)});
        held.seq = seq;
        state.erase({from, std::string(key)});
        state[{to, std::string(key)}] = std::move(held);
        Record(std::move(state));
      },
      from);
  return room == Room::kReady && entry != nullptr;
}

void Machine::Turn() {
  if (!is_open()) return;
  store_->Pump();
  store_->Poll();
  NoteDurable();
}

void Machine::Settle() {
  for (int turn = 0; is_open() && turn < turns_max_; ++turn) {
    if (disk_.crashed() || store_->failure()) return;
    if (store_->durable_seq() == store_->last_seq()) return;
    if (options_.sync == SyncMode::kInterval) {
      clock_.AdvanceMs(options_.sync_interval_ms);
      Tick();
    }
    EndStall(turn);
    Turn();
  }
}

void Machine::EndStall(int turn) {
  if (turn > kStalledTurns && disk_.pending_writes() > 0) disk_.CompleteWrite();
}

// The client's database in which Tick() made the change `seq`. It goes database
// by database, in an order that is the store's own: the newest change of each
// tells where one ends.
int Machine::DatabaseOfRemoval(Seq seq) {
  int found = 0;
  Seq newest_of_found = UINT64_MAX;
  for (int database = 0; database < kDatabases; ++database) {
    ColdValues operation_cold;
    Operation operation(*store_, database, &operation_cold);
    operation.Count();
    const Seq newest = operation.seen();
    if (newest < seq || newest > newest_of_found) continue;
    found = database;
    newest_of_found = newest;
  }
  return found;
}

// Expired keys of a database go in the order of their deadlines.
std::pair<int, std::string> Machine::NextExpired(const Contents& state,
                                                 int database) const {
  const auto now = static_cast<uint64_t>(clock_.WallMs());
  const std::pair<const std::pair<int, std::string>, Held>* next = nullptr;
  for (const auto& item : state) {
    const uint64_t deadline = item.second.deadline_ms;
    if (item.first.first != database || deadline == 0 || deadline > now) {
      continue;
    }
    if (next == nullptr || deadline < next->second.deadline_ms) next = &item;
  }
  KVD_CHECK(next != nullptr);
  return next->first;
}

void Machine::Tick() {
  if (!is_open()) return;
  const Seq before = store_->last_seq();
  store_->Tick();
  for (Seq seq = before + 1; seq <= store_->last_seq(); ++seq) {
    Contents state = history_.states.back();
    state.erase(NextExpired(state, DatabaseOfRemoval(seq)));
    history_.states.push_back(std::move(state));
    history_.last_seqs.push_back(seq);
    history_.newest_seq = std::max(history_.newest_seq, seq);
  }
  store_->Poll();
  NoteDurable();
}

void Machine::Compact() {
  if (is_open()) AwaitCompaction(store_->Compact());
}

void Machine::Compact(std::vector<uint64_t> segments) {
  if (is_open()) AwaitCompaction(store_->CompactSegments(std::move(segments)));
}

void Machine::AwaitCompaction(uint64_t run) {
  for (int turn = 0; turn < turns_max_; ++turn) {
    if (disk_.crashed() || store_->failure()) return;
    if (store_->compaction().runs_ended >= run) return;
    executor_.RunOne();
    maintenance_.RunOne();
    EndStall(turn);
    Turn();
    Tick();
  }
}

bool Machine::Stop() {
  if (!is_open()) return false;
  store_->Stop();
  for (int turn = 0; turn < turns_max_ && !store_->stopped(); ++turn) {
    if (disk_.crashed() || store_->failure()) return false;
    executor_.RunOne();
    maintenance_.RunOne();
    EndStall(turn);
    if (turn > turns_max_ / 2) {
      clock_.AdvanceMs(kStopLookMs);
      store_->Tick();
    }
    store_->Poll();
    NoteDurable();
  }
  return store_->stopped();
}

void Machine::NoteDurable() {
  const Seq durable = store_->durable_seq();
  while (history_.acknowledged < history_.steps() &&
         history_.last_seqs[history_.acknowledged + 1] <= durable) {
    ++history_.acknowledged;
  }
}

Contents Machine::Dump() {
  Contents contents;
  for (int database = 0; database < kDatabases; ++database) {
    uint64_t cursor = 0;
    do {
      Operation operation(*store_, database, &cold_);
      cursor = operation.Scan(cursor, 100, [&](const Entry& entry) {
        contents[{database, std::string(entry.key())}] = {"", entry.seq(),
                                                          entry.deadline_ms()};
      });
    } while (cursor != 0);
  }
  for (auto& [place, held] : contents) {
    held.value = Get(place.second, place.first).value_or("(vanished)");
  }
  return contents;
}

std::string CheckAfterCrash(SimFileSystem* disk, const History& before,
                            StoreOptions options) {
  History history;
  history.newest_seq = before.newest_seq;
  Machine machine(disk, &history, std::move(options));
  // Before any deadline: what expired is a matter of its own.
  machine.clock().SetWallMs(1);
  if (!before.wrong.empty()) return before.wrong;
  if (Result<void> opened = machine.Open(); !opened) {
    return disk->crashed() ? "" : "did not open: " + opened.error().message();
  }
  Contents found = machine.Dump();
  // What is on disk alone cannot be read from one that is gone.
  if (disk->crashed()) return "";
  // Of an earlier check that was itself cut short by a crash.
  found.erase({0, kProbe});
  for (size_t step = before.steps() + 1; step-- > before.acknowledged;) {
    if (before.states[step] == found) {
      return CheckNewChange(&machine, before.newest_seq, disk);
    }
  }
  return fmt::format("is not the state of any step from {} to {}; {}",
                     before.acknowledged, before.steps(),
                     DescribeNearest(before, found));
}

}  // namespace kvd
