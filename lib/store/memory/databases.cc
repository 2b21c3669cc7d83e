// SPDX-License-Identifier: MIT
#include "store/memory/databases.h"

#include <utility>

#include "base/planted_bug.h"
#include "base/random.h"

namespace kvd {

Databases::Databases() { MakeKeyspaces(RandomU64()); }

void Databases::MakeKeyspaces(uint64_t hash_seed) {
  for (auto& keyspace : keyspaces_) {
    keyspace = std::make_unique<Keyspace>(hash_seed, &usage_, &memory_);
  }
}

uint8_t Databases::NumberOf(const Keyspace& keyspace) const {
  uint8_t number = 0;
  while (keyspaces_[number].get() != &keyspace) ++number;
  return number;
}

int Databases::ClientOf(const Keyspace& keyspace) const {
  int number = 0;
  while (&OfClient(number) != &keyspace) ++number;
  return number;
}

void Databases::SwapBack(uint8_t one, uint8_t other, Seq before_one,
                         Seq before_other) {
  std::swap(map_.internal[one], map_.internal[other]);
  swapped_[one] = before_one;
  swapped_[other] = before_other;
}

void Databases::Swap(uint8_t one, uint8_t other, Seq seq) {
  std::swap(map_.internal[one], map_.internal[other]);
  if (!IsPlanted(PlantedBug::kShowUndurableSwap)) {
    swapped_[one] = swapped_[other] = seq;
  }
}

void Databases::Adopt(const DatabaseMap& known) {
  map_ = known;
  for (size_t i = 0; i < keyspaces_.size(); ++i) {
    keyspaces_[i]->set_flushed(known.flushed[i]);
  }
}

void Databases::ReplayFlush(uint16_t internal, Seq seq) {
  map_.flushed[internal] = seq;
  Keyspace& keyspace = Internal(internal);
  const auto table = keyspace.Clear(seq);
  while (table && keyspace.Free(table.get(), SIZE_MAX) != 0) continue;
}

void Databases::ReplaySwap(uint16_t one, uint16_t other) {
  std::swap(map_.internal[one], map_.internal[other]);
}

void Databases::BeginAgain() {
  const uint64_t seed = hash_seed();
  for (auto& keyspace : keyspaces_) keyspace.reset();
  usage_ = {};
  memory_ = {};
  MakeKeyspaces(seed);
}

}  // namespace kvd
