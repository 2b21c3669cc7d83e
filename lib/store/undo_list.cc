// SPDX-License-Identifier: MIT
#include "store/undo_list.h"

#include <utility>

namespace kvd {
namespace {

// What a list keeps of its memory for the next transaction.
constexpr size_t kStepsKept = 1024;

}  // namespace

UndoList::UndoList(Journal& journal, Databases& databases,
                   UndurableRemovals& removals, ClearedTables& cleared)
    : journal_(journal),
      databases_(databases),
      usage_(databases.usage()),
      removals_(removals),
      cleared_(cleared) {}

void UndoList::Begin() {
  parts_.push_back({steps_.size(), databases_.memory().kept_bytes});
}

void UndoList::BeforeRecord() {
  if (empty()) journal_.Mark();
}

void UndoList::Add(Step step, uint64_t kept_bytes) {
  databases_.memory().kept_bytes += sizeof(Step) + kept_bytes;
  steps_.push_back(std::move(step));
}

// --- Changes ----------------------------------------------------------------

void UndoList::Put(Keyspace& keyspace, uint64_t hash, EntryPtr entry) {
  const Seq last_change = keyspace.last_change();
  const Entry* fresh = entry.get();
  EntryPtr old = keyspace.PutKeeping(hash, std::move(entry));
  const uint64_t kept = old == nullptr ? 0 : old->allocation_bytes();
  Add(KeyStep{KeyStep::kPut, fresh->place().segment, &keyspace, hash, fresh,
              std::move(old), last_change},
      kept);
}

void UndoList::Bury(Keyspace& keyspace, uint64_t hash, std::string_view key,
                    Seq seq, Place place) {
  const Seq last_change = keyspace.last_change();
  removals_.Note(&keyspace, hash, key, seq);
  EntryPtr ghost = Entry::CreateGhost(key, seq, place);
  const Entry* fresh = ghost.get();
  EntryPtr old = keyspace.PutKeeping(hash, std::move(ghost));
  const uint64_t kept = old->allocation_bytes();
  Add(KeyStep{KeyStep::kBury, place.segment, &keyspace, hash, fresh,
              std::move(old), last_change},
      kept);
}

void UndoList::Erase(Keyspace& keyspace, uint64_t hash, std::string_view key,
                     Seq seq, Place place) {
  const Seq last_change = keyspace.last_change();
  EntryPtr old = keyspace.Erase(hash, key, seq);
  const uint64_t kept = old->allocation_bytes();
  Add(KeyStep{KeyStep::kErase, place.segment, &keyspace, hash, nullptr,
              std::move(old), last_change},
      kept);
}

void UndoList::Flush(Keyspace& keyspace, Seq seq, Place place) {
  Keyspace::Cleared cleared = keyspace.ClearKeeping(seq);
  // The table and its entries count where they did before.
  const uint64_t kept =
      cleared.deadlines == nullptr ? 0 : cleared.deadlines->memory_bytes();
  Add(FlushStep{place.segment, &keyspace, std::move(cleared)}, kept);
}

void UndoList::Swap(uint8_t one, uint8_t other, Seq seq, Place place) {
  Add(SwapStep{place.segment, one, other, databases_.swapped(one),
               databases_.swapped(other)},
      0);
  databases_.Swap(one, other, seq);
}

// --- Undone -----------------------------------------------------------------

void UndoList::Undo() {
  const Part part = parts_.back();
  parts_.pop_back();
  if (steps_.size() == part.first_step) return;
  for (; steps_.size() > part.first_step; steps_.pop_back()) {
    std::visit([this](auto& step) { UndoStep(step); }, steps_.back());
  }
  databases_.memory().kept_bytes = part.kept_bytes;
  if (!steps_.empty()) return;
  journal_.CutBack();
  Clear();
}

void UndoList::UndoStep(KeyStep& step) {
  if (step.kind != KeyStep::kPut) {
    usage_.TakeBackDead(step.segment, RecordBytes(step.old->key().size(), 0));
  }
  if (step.kind == KeyStep::kBury) removals_.TakeBack();
  step.keyspace->Restore(step.hash, step.fresh, std::move(step.old),
                         step.last_change);
}

void UndoList::UndoStep(FlushStep& step) {
  usage_.TakeBackDatabaseChange(step.segment);
  step.keyspace->Restore(std::move(step.cleared));
}

void UndoList::UndoStep(SwapStep& step) {
  usage_.TakeBackDatabaseChange(step.segment);
  databases_.SwapBack(step.one, step.other, step.before_one, step.before_other);
}

// --- Kept -------------------------------------------------------------------

void UndoList::Keep() {
  parts_.pop_back();
  if (is_open()) return;
  for (Step& step : steps_) {
    std::visit([this](auto& kept) { KeepStep(kept); }, step);
  }
  Clear();
}

void UndoList::KeepStep(KeyStep& step) {
  if (step.kind == KeyStep::kPut) cleared_.PayForPut();
  if (step.kind == KeyStep::kBury) removals_.PayFor(1, journal_.durable_seq());
}

void UndoList::KeepStep(FlushStep& step) {
  if (step.cleared.index != nullptr) {
    cleared_.Add(std::move(step.cleared.index), step.keyspace);
  }
  cleared_.PayForFlush();
}

void UndoList::KeepStep(SwapStep& /*step*/) {}

void UndoList::Clear() {
  steps_.clear();
  if (steps_.capacity() > kStepsKept) steps_.shrink_to_fit();
  databases_.memory().kept_bytes = 0;
}

}  // namespace kvd
