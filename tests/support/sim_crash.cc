// SPDX-License-Identifier: MIT
//
// What a power loss leaves of the simulated disk.
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/check.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

constexpr size_t kSectorBytes = 512;
constexpr uint8_t kWholePage = 0xff;
constexpr size_t kRandomChoices = 16;

// The sectors of its page that a change of bytes touches.
uint8_t SectorsOf(uint64_t offset_in_page, size_t bytes) {
  const size_t first = offset_in_page / kSectorBytes;
  const size_t last = (offset_in_page + bytes - 1) / kSectorBytes;
  return static_cast<uint8_t>((0xff >> (7 - last)) & (0xff << first));
}

}  // namespace

std::string CrashChoice::Describe() const {
  constexpr std::string_view kBytes[] = {
      "none", "all", "prefix", "only", "without", "random", "zero-extended"};
  constexpr std::string_view kNames[] = {"lost",   "of synced files", "kept",
                                         "prefix", "as units",        "random"};
  return fmt::format(
      "bytes {}, names {} (unit_bytes {}, index {}, name_count {}, seed {})",
      kBytes[static_cast<size_t>(bytes)], kNames[static_cast<size_t>(names)],
      unit_bytes, index, name_count, seed);
}

std::vector<SimFileSystem::Unit> SimFileSystem::Units(size_t unit_bytes) const {
  std::vector<Unit> units;
  for (size_t i = 0; i < name_changes_.size(); ++i) {
    units.push_back({name_changes_[i].order, 0, i, 0});
  }
  for (const auto& [id, inode] : inodes_) {
    for (size_t i = 0; i < inode.unsynced.size(); ++i) {
      const Change& change = inode.unsynced[i];
      if (change.is_size || unit_bytes == kPageBytes) {
        units.push_back({change.order, id, i, kWholePage});
        continue;
      }
      const uint8_t touched =
          SectorsOf(change.offset % kPageBytes, change.bytes.size());
      for (unsigned sector = 1; sector <= 0x80; sector <<= 1) {
        const auto mask = static_cast<uint8_t>(touched & sector);
        if (mask != 0) units.push_back({change.order, id, i, mask});
      }
    }
  }
  std::stable_sort(
      units.begin(), units.end(),
      [](const Unit& a, const Unit& b) { return a.order < b.order; });
  return units;
}

std::vector<CrashChoice> SimFileSystem::Choices(size_t limit) const {
  using Bytes = CrashChoice::Bytes;
  using Names = CrashChoice::Names;
  KVD_CHECK(limit >= 8);
  std::lock_guard hold(mutex_);
  const size_t name_count = name_changes_.size();
  const size_t page_count = Units(kPageBytes).size();
  std::vector<CrashChoice> choices = {{Bytes::kNone, Names::kLost}};
  if (page_count == 0) return choices;

  choices.push_back({Bytes::kAll, Names::kKept});
  if (page_count > name_count) {
    choices.push_back({Bytes::kZeroExtended, Names::kKept});
  }
  if (name_count > 0) {
    choices.push_back({Bytes::kNone, Names::kKept});
    choices.push_back({Bytes::kAll, Names::kLost});
    choices.push_back({Bytes::kNone, Names::kOfSyncedFiles});
  }
  const size_t worst_count = choices.size();

  for (size_t count = 1; count < name_count; ++count) {
    choices.push_back({Bytes::kNone, Names::kPrefix, kPageBytes, 0, count});
    choices.push_back({Bytes::kAll, Names::kPrefix, kPageBytes, 0, count});
  }
  for (const size_t unit_bytes : {kPageBytes, kSectorBytes}) {
    const size_t count = Units(unit_bytes).size();
    if (unit_bytes == kSectorBytes && count == page_count) continue;
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) {
        choices.push_back({Bytes::kPrefix, Names::kAsUnits, unit_bytes, i});
      }
      if (count == 1) continue;  // The same as all and none.
      choices.push_back({Bytes::kOnly, Names::kAsUnits, unit_bytes, i});
      choices.push_back({Bytes::kWithout, Names::kAsUnits, unit_bytes, i});
    }
  }
  if (page_count > 1) {
    for (size_t seed = 0; seed < kRandomChoices; ++seed) {
      choices.push_back(
          {Bytes::kRandom, Names::kRandom, kSectorBytes, 0, 0, seed});
    }
  }
  if (choices.size() <= limit) return choices;

  std::vector<CrashChoice> thinned(choices.begin(),
                                   choices.begin() + worst_count);
  const size_t rest = choices.size() - worst_count;
  const size_t take = limit - worst_count;
  // Another phase at each moment, so that neighbouring crashes together see
  // more than the same few.
  const size_t phase = next_order_ % ((rest + take - 1) / take);
  for (size_t i = 0; i < take; ++i) {
    thinned.push_back(choices[worst_count + (i * rest / take + phase) % rest]);
  }
  return thinned;
}

std::unique_ptr<SimFileSystem> SimFileSystem::Image(
    const CrashChoice& choice) const {
  std::lock_guard hold(mutex_);
  const Kept kept = Keep(choice);
  auto image = std::make_unique<SimFileSystem>(path_);
  image->capacity_ = capacity_;
  image->exchanges_ = exchanges_;
  image->names_ = NamesAfter(kept.names);
  image->durable_names_ = image->names_;
  image->next_inode_ = next_inode_;
  for (const auto& [name, id] : image->names_) {
    image->inodes_[id].durable = ContentAfter(
        inodes_.at(id), kept.changes.at(id), kept.full_size.at(id));
  }
  return image;
}

SimFileSystem::Kept SimFileSystem::Keep(const CrashChoice& choice) const {
  using Bytes = CrashChoice::Bytes;
  const bool all_at_first =
      choice.bytes == Bytes::kAll || choice.bytes == Bytes::kWithout;
  Kept kept;
  for (const auto& [id, inode] : inodes_) {
    kept.changes[id].assign(inode.unsynced.size(),
                            all_at_first ? kWholePage : 0);
    kept.full_size[id] = choice.bytes == Bytes::kZeroExtended;
  }
  KeepNames(choice, &kept);
  if (choice.bytes == Bytes::kPrefix || choice.bytes == Bytes::kOnly ||
      choice.bytes == Bytes::kWithout) {
    KeepUnits(choice, &kept);
  }
  if (choice.bytes == Bytes::kRandom) KeepRandomly(choice.seed, &kept);

  // A page on the disk holds all that came before in it, too.
  for (auto& [id, sectors] : kept.changes) {
    const std::vector<Change>& unsynced = inodes_.at(id).unsynced;
    std::map<uint64_t, uint8_t> later;
    for (size_t i = sectors.size(); i-- > 0;) {
      if (unsynced[i].is_size) continue;
      uint8_t& of_page = later[PageOf(unsynced[i].offset)];
      of_page |= sectors[i];
      sectors[i] = of_page;
    }
  }
  return kept;
}

void SimFileSystem::KeepNames(const CrashChoice& choice, Kept* kept) const {
  using Names = CrashChoice::Names;
  std::mt19937_64 random(choice.seed);
  // Journals keep changes in order; half of the random choices do not.
  const bool in_order = random() % 2 == 0;
  const size_t random_count = random() % (name_changes_.size() + 1);
  for (size_t i = 0; i < name_changes_.size(); ++i) {
    bool keep = false;
    switch (choice.names) {
      case Names::kLost:
        break;
      case Names::kOfSyncedFiles:
        keep = name_changes_[i].file_synced;
        break;
      case Names::kKept:
        keep = true;
        break;
      case Names::kPrefix:
        keep = i < choice.name_count;
        break;
      case Names::kAsUnits:
        // With a single unit of bytes kept, the file should be there as well.
        keep = choice.bytes != CrashChoice::Bytes::kPrefix;
        break;
      case Names::kRandom:
        keep = in_order ? i < random_count : random() % 2 == 0;
        break;
    }
    kept->names.push_back(keep);
  }
}

void SimFileSystem::KeepUnits(const CrashChoice& choice, Kept* kept) const {
  using Bytes = CrashChoice::Bytes;
  const std::vector<Unit> units = Units(choice.unit_bytes);
  KVD_CHECK(choice.index < units.size() ||
            (choice.bytes == Bytes::kPrefix && choice.index == units.size()));
  const auto set = [&](const Unit& unit, bool keep) {
    if (unit.inode == 0) {
      kept->names[unit.change] = keep;
      return;
    }
    uint8_t& sectors = kept->changes.at(unit.inode)[unit.change];
    sectors = static_cast<uint8_t>(keep ? sectors | unit.sectors
                                        : sectors & ~unit.sectors);
  };
  if (choice.bytes == Bytes::kPrefix) {
    for (size_t i = 0; i < choice.index; ++i) set(units[i], true);
    return;
  }
  const Unit& unit = units[choice.index];
  if (choice.bytes == Bytes::kOnly) {
    if (unit.inode == 0) {
      kept->names.assign(kept->names.size(), false);
    }
    return set(unit, true);
  }
  set(unit, false);
  if (unit.inode == 0) return;
  const std::vector<Change>& unsynced = inodes_.at(unit.inode).unsynced;
  if (unsynced[unit.change].is_size) return;
  // The page stays as it was before: its later states are lost with this one.
  for (size_t i = unit.change + 1; i < unsynced.size(); ++i) {
    if (unsynced[i].is_size ||
        PageOf(unsynced[i].offset) != PageOf(unsynced[unit.change].offset)) {
      continue;
    }
    set({0, unit.inode, i, unit.sectors}, false);
  }
}

void SimFileSystem::KeepRandomly(uint64_t seed, Kept* kept) const {
  std::mt19937_64 random(seed);
  // Some crashes come early in the writing back, some late; few are torn.
  const uint64_t kept_of_8 = 1 + random() % 7;
  const bool torn = random() % 2 == 0;
  for (auto& [id, sectors] : kept->changes) {
    for (uint8_t& mask : sectors) {
      if (random() % 8 < kept_of_8) mask = kWholePage;
      if (torn && random() % 8 == 0) mask = static_cast<uint8_t>(random());
    }
    kept->full_size[id] = random() % 4 == 0;
  }
}

SimFileSystem::NameMap SimFileSystem::NamesAfter(
    const std::vector<bool>& kept) const {
  NameMap names = durable_names_;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    const NameChange& change = name_changes_[i];
    if (!change.from.empty()) names.erase(change.from);
    if (change.from_inode != 0) names[change.from] = change.from_inode;
    if (!change.to.empty()) names[change.to] = change.inode;
  }
  return names;
}

std::string SimFileSystem::ContentAfter(const Inode& inode,
                                        const std::vector<uint8_t>& sectors,
                                        bool full_size) const {
  std::string content = inode.durable;
  for (size_t i = 0; i < sectors.size(); ++i) {
    const Change& change = inode.unsynced[i];
    if (sectors[i] == 0) continue;
    if (change.is_size) {
      content.resize(change.offset);
      continue;
    }
    if (sectors[i] == kWholePage) {
      PutBytes(&content, change.offset, change.bytes);
      continue;
    }
    // Sector by sector, cut to what the change covers.
    const uint64_t page = PageOf(change.offset) * kPageBytes;
    const uint64_t end = change.offset + change.bytes.size();
    for (size_t sector = 0; sector < 8; ++sector) {
      if ((sectors[i] >> sector & 1) == 0) continue;
      const uint64_t from =
          std::max<uint64_t>(change.offset, page + sector * kSectorBytes);
      const uint64_t to =
          std::min<uint64_t>(end, page + (sector + 1) * kSectorBytes);
      if (from >= to) continue;
      PutBytes(&content, from,
               std::string_view(change.bytes)
                   .substr(from - change.offset, to - from));
    }
  }
  if (full_size && inode.seen().size() > content.size()) {
    content.resize(inode.seen().size());
  }
  return content;
}

size_t ForEachCrash(
    const SimFileSystem& start, size_t images_per_crash,
    const std::function<void(SimFileSystem&)>& scenario,
    const std::function<void(SimFileSystem&, const std::string&)>& check) {
  size_t images = 0;
  for (uint64_t n = 0;; ++n) {
    const std::unique_ptr<SimFileSystem> disk = start.Clone();
    disk->CrashAt(n);
    scenario(*disk);
    for (const CrashChoice& choice : disk->Choices(images_per_crash)) {
      const std::unique_ptr<SimFileSystem> image = disk->Image(choice);
      check(*image,
            fmt::format("crash at operation {}: {}", n, choice.Describe()));
      ++images;
    }
    if (!disk->crashed()) return images;
  }
}

}  // namespace kvd
