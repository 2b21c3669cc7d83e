// SPDX-License-Identifier: MIT
//
// Transactions of a Machine, as the daemon would run them: each attempt begins
// anew, and the next one reserves what the last one needed.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "tests/store/promises/machine.h"
#include "tests/store/promises/store_state.h"

namespace kvd {

bool Machine::Transact(const std::vector<Part>& parts, bool commits) {
  if (!is_open()) return false;
  Needs needs;
  for (int turn = 0; turn < turns_max_; ++turn) {
    Contents state = history_.states.back();
    const Room room = Attempt(parts, commits, &needs, &state);
    if (cold_.wanted() && ReadWanted()) continue;
    if (cold_.wanted() || cold_.error()) {
      cold_.Abandon();
      return false;
    }
    if (room == Room::kReady) {
      Operation(*store_, 0, &cold_).KeepValues();
      if (commits) Record(std::move(state));
      return true;
    }
    if (room != Room::kWait || disk_.crashed() || store_->failure()) {
      return false;
    }
    executor_.RunOne();
    EndStall(turn);
    Turn();
  }
  return false;
}

Room Machine::Attempt(const std::vector<Part>& parts, bool commits,
                      Needs* needs, Contents* state) {
  const Needs reserved = *needs;
  Room room = Room::kReady;
  std::optional<StoreState> before;
  {
    Transaction transaction(*store_);
    if (reserved.bytes > 0) {
      room = transaction.Reserve(reserved.bytes, reserved.purpose);
    }
    const bool has_room = room == Room::kReady;
    before.emplace(*store_);
    if (has_room) room = RunParts(parts, state);
    *needs = {transaction.needed_bytes(), transaction.needed_purpose()};
    if (room == Room::kReady && commits) {
      transaction.Commit();
      return room;
    }
    const bool waits = has_room && room == Room::kWait && !cold_.wanted() &&
                       !cold_.error() && !store_->failure();
    if (waits && options_.memory_limit_bytes == 0 &&
        needs->bytes <= reserved.bytes && needs->purpose == reserved.purpose) {
      NoteWrong(
          fmt::format("an attempt that had reserved {} bytes waits for {}",
                      reserved.bytes, needs->bytes));
    }
  }
  NoteWrong(StoreState::Compare(*before, StoreState(*store_)));
  return room;
}

void Machine::NoteWrong(const std::string& wrong) {
  if (history_.wrong.empty()) history_.wrong = wrong;
}

Room Machine::RunParts(const std::vector<Part>& parts, Contents* state) {
  for (const Part& part : parts) {
    const Room room = Run(part, state);
    if (room != Room::kReady) return room;
  }
  return Room::kReady;
}

Room Machine::Run(const Part& part, Contents* state) {
  Operation operation(*store_, part.database, &cold_);
  switch (part.kind) {
    case Part::Kind::kPut:
      return RunPut(part, operation, state);
    case Part::Kind::kAppend:
      return RunAppend(part, operation, state);
    case Part::Kind::kDelete:
      return RunDelete(part, operation, state);
    case Part::Kind::kMove:
      return RunMove(part, operation, state);
    case Part::Kind::kGet:
      return RunGet(part, operation, state);
    case Part::Kind::kCount:
      return RunCount(part, operation, *state);
    case Part::Kind::kFlush:
    case Part::Kind::kFlushAll:
      return RunFlush(part, operation, state);
    case Part::Kind::kSwap:
      return RunSwap(part, operation, state);
  }
  return Room::kReady;
}

// An expired key goes with the transaction, if with a record; else it is a miss
// from now on, whatever becomes of the transaction.
const Entry* Machine::FindInside(Operation& operation, const Part& part,
                                 Contents* state) {
  const Seq before = store_->last_seq();
  const Entry* entry = operation.Find(part.key);
  const auto held = state->find({part.database, part.key});
  if (entry != nullptr || held == state->end()) return entry;
  if (store_->last_seq() != before) {
    state->erase(held);
  } else {
    judged_.insert(held->second.seq);
  }
  return nullptr;
}

Room Machine::RunPut(const Part& part, Operation& operation, Contents* state) {
  FindInside(operation, part, state);
  const Room admitted =
      operation.AdmitPut(part.key, part.value.size(), part.deadline_ms);
  if (admitted != Room::kReady) return admitted;
  const Room room = operation.Reserve(
      Operation::PutBytes(part.key.size(), part.value.size()), Purpose::kWrite);
  if (room != Room::kReady) return room;
  const Seq seq =
      operation.Put(part.key, part.value, part.deadline_ms, KeyEvent::kSet);
  (*state)[{part.database, part.key}] = {
      part.value, seq, static_cast<uint64_t>(part.deadline_ms)};
  return room;
}

Room Machine::RunAppend(const Part& part, Operation& operation,
                        Contents* state) {
  const Entry* old = FindInside(operation, part, state);
  if (old == nullptr) return operation.blocked();
  const std::string value =
      std::string(operation.Value(*old)).append(part.value);
  const Room admitted = operation.AdmitPut(part.key, value.size(), 0);
  if (admitted != Room::kReady) return admitted;
  const Room room = operation.Reserve(
      Operation::PutBytes(part.key.size(), value.size()), Purpose::kWrite);
  if (room != Room::kReady) return room;
  const Seq seq = operation.Put(part.key, value, 0, KeyEvent::kSet);
  Held& held = (*state)[{part.database, part.key}];
  held = {held.value + part.value, seq, 0};
  return room;
}

Room Machine::RunDelete(const Part& part, Operation& operation,
                        Contents* state) {
  if (FindInside(operation, part, state) == nullptr) return operation.blocked();
  const Room room = operation.Reserve(Operation::RemoveBytes(part.key.size()),
                                      Purpose::kRemoval);
  if (room != Room::kReady) return room;
  operation.Remove(part.key, KeyEvent::kDel);
  state->erase({part.database, part.key});
  return room;
}

Room Machine::RunMove(const Part& part, Operation& operation, Contents* state) {
  const Entry* entry = FindInside(operation, part, state);
  if (entry == nullptr) return operation.blocked();
  const std::string_view value = operation.Value(*entry);
  const Room room =
      operation.Reserve(Operation::PutBytes(part.key.size(), value.size()) +
                            Operation::RemoveBytes(part.key.size()),
                        Purpose::kWrite);
  if (room != Room::kReady) return room;
  operation.UseDatabase(part.other);
  const Seq seq = operation.Put(part.key, value, 0, KeyEvent::kSet);
  operation.UseDatabase(part.database);
  operation.Remove(part.key, KeyEvent::kDel);
  const auto held = state->find({part.database, part.key});
  (*state)[{part.other, part.key}] = {held->second.value, seq, 0};
  state->erase(held);
  return room;
}

Room Machine::RunGet(const Part& part, Operation& operation, Contents* state) {
  const Entry* entry = FindInside(operation, part, state);
  const auto held = state->find({part.database, part.key});
  if (entry == nullptr) {
    if (held != state->end() && !judged_.contains(held->second.seq)) {
      NoteWrong(part.key + " is missed by its own transaction");
    }
    return operation.blocked();
  }
  const std::string_view value = operation.Value(*entry);
  if (operation.blocked() != Room::kReady) return operation.blocked();
  if (held == state->end() || held->second.value != value) {
    NoteWrong(part.key + " is not what its own transaction wrote");
  }
  return Room::kReady;
}

Room Machine::RunCount(const Part& part, Operation& operation,
                       const Contents& state) {
  const auto keys = static_cast<uint64_t>(std::count_if(
      state.begin(), state.end(),
      [&](const auto& item) { return item.first.first == part.database; }));
  if (operation.Count() != keys) {
    NoteWrong(fmt::format("counts {} keys in {}, not {}", operation.Count(),
                          part.database, keys));
  }
  return operation.blocked();
}

Room Machine::RunFlush(const Part& part, Operation& operation,
                       Contents* state) {
  const bool all = part.kind == Part::Kind::kFlushAll;
  const Room room = operation.Reserve(
      (all ? kDatabases : 1) * Operation::RemoveBytes(0), Purpose::kRemoval);
  if (room != Room::kReady) return room;
  if (all) {
    operation.FlushAll();
  } else {
    operation.FlushDatabase();
  }
  std::erase_if(*state, [&](const auto& item) {
    return all || item.first.first == part.database;
  });
  return room;
}

Room Machine::RunSwap(const Part& part, Operation& operation, Contents* state) {
  const Room room = operation.Reserve(Operation::SwapBytes(), Purpose::kWrite);
  if (room != Room::kReady) return room;
  operation.SwapDatabases(part.database, part.other);
  *state = Swapped(*state, part.database, part.other);
  return room;
}

}  // namespace kvd
