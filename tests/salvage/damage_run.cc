// SPDX-License-Identifier: MIT
#include "tests/salvage/damage_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "log/format/manifest.h"
#include "log/read/segment_reader.h"
#include "salvage/report.h"
#include "salvage/salvage.h"
#include "tests/store/promises/machine.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

// Before any deadline: what expired is a matter of its own.
constexpr int64_t kNowMs = 1;

// Where a record stood before the damage.
struct Spot {
  std::string file;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t epoch = 0;
  bool compacted = false;
};

// A group's header before the damage.
struct Mark {
  std::string file;
  uint64_t offset = 0;
  uint64_t epoch = 0;
  uint64_t durable_seq = 0;
};

// A directory as the store left it, and all that can be looked up in it.
class Original {
 public:
  explicit Original(const SimFileSystem& disk) {
    for (const std::string& name : disk.Names()) {
      files_[name] = disk.ReadAll(name);
    }
    const auto manifest =
        DecodeManifest(files_.at(std::string(kManifestName)), "MANIFEST");
    manifest_ = *manifest;
    for (const SealedSegment& s : manifest_.sealed) {
      Read(s.id, manifest_.IdentityOf(s), s.bytes);
    }
    for (const LiveSegmentLine& line : manifest_.Live()) {
      Read(line.id, manifest_.IdentityOfLive(line.id), UINT64_MAX);
    }
  }

  const std::string& BytesOf(const std::string& name) const {
    return files_.at(name);
  }
  const Manifest& manifest() const { return manifest_; }
  const Spot* Find(uint64_t seq) const {
    const auto spot = spots_.find(seq);
    return spot == spots_.end() ? nullptr : &spot->second;
  }
  const std::vector<Mark>& marks() const { return marks_; }

 private:
  void Read(uint64_t id, const SegmentIdentity& identity, uint64_t bytes) {
    const std::string name = SegmentName(id);
    const auto file = files_.find(name);
    if (file == files_.end()) return;
    SegmentReader reader(std::string_view(file->second).substr(0, bytes),
                         identity);
    Group group;
    while (reader.Next(&group) == Found::kGroup) {
      marks_.push_back({name, group.header.offset, identity.epoch,
                        group.header.durable_seq});
      for (size_t i = 0; i < group.records.size(); ++i) {
        const Record& record = group.records[i];
        spots_[record.seq] = {
            name, group.offsets[i],
            RecordBytes(record.key.size(), record.value.size()), identity.epoch,
            identity.kind == SegmentKind::kCompacted};
      }
    }
  }

  std::map<std::string, std::string> files_;
  Manifest manifest_;
  std::map<uint64_t, Spot> spots_;
  std::vector<Mark> marks_;
};

class DamageRun {
 public:
  DamageRun(uint64_t seed, DamageFigures* figures)
      : random_(seed), seed_(seed), figures_(*figures) {}

  std::string Run() {
    options_ = SmallStore();
    options_.write_hints = Below(2) == 0;
    disk_ = std::make_unique<SimFileSystem>();
    const int lives = 1 + Below(3);
    for (int life = 0; life < lives; ++life) {
      if (std::string wrong = Live(); !wrong.empty()) return Say(wrong);
      // Without the lock of a life that was killed.
      disk_ = disk_->Clone();
    }
    original_ = std::make_unique<Original>(*disk_);
    Damage();
    LookAtRest();
    std::string wrong = Check(/*uncertain=*/false);
    if (wrong.empty()) wrong = Check(/*uncertain=*/true);
    return wrong.empty() ? "" : Say(wrong);
  }

 private:
  int Below(int n) {
    return static_cast<int>(random_() % static_cast<uint64_t>(n));
  }
  size_t Any(size_t n) { return static_cast<size_t>(random_() % n); }

  std::string Say(const std::string& wrong) const {
    std::string text = fmt::format("seed {}: {}\n", seed_, wrong);
    for (const std::string& done : done_) text += "  " + done + "\n";
    for (const std::string& line : said_) text += "  | " + line + "\n";
    return text;
  }

  // --- The store ---

  std::string Live() {
    History history;
    Machine machine(disk_.get(), &history, options_);
    machine.clock().SetWallMs(kNowMs);
    if (Result<void> opened = machine.Open(); !opened) {
      return "did not open: " + opened.error().message();
    }
    history.states = {machine.Dump()};
    history.last_seqs = {machine.store().last_seq()};
    const int steps = 20 + Below(120);
    for (int i = 0; i < steps; ++i) Step(machine);
    machine.Settle();
    if (Below(3) == 0) {
      machine.Stop();
    } else if (Below(2) == 0) {
      // So that all is declared durable.
      machine.AdvanceMs(5000);
      machine.Tick();
      machine.Turn();
      machine.Turn();
    }
    current_ = machine.Dump();
    for (size_t i = 0; i < history.states.size(); ++i) {
      states_.push_back({history.states[i], history.last_seqs[i]});
    }
    return "";
  }

  std::string Key() { return fmt::format("key{}", Below(14)); }
  std::string Value() {
    constexpr int kSizes[] = {0, 3, 40, 700, 3000};
    const int size = Below(60) == 0 ? 20'000 : kSizes[Below(5)];
    return std::string(static_cast<size_t>(size),
                       static_cast<char>('a' + Below(26)));
  }

  void Step(Machine& machine) {
    const int database = Below(4) == 0 ? 1 : 0;
    switch (Below(16)) {
      case 0:
      case 1: {
        const std::string key = Key();
        machine.Delete(key, database);
        return;
      }
      case 2:
        if (Below(3) == 0) machine.Flush(database);
        return;
      case 3:
        if (Below(2) == 0) machine.Swap(Below(2), 2);
        return;
      case 4:
        if (Below(2) == 0) Compact(machine);
        return;
      case 5:
        machine.PutAll({{"x", Value()}, {"y", Value()}, {"z", Value()}});
        return;
      case 6: {
        const std::string key = Key();
        const std::string value = Value();
        machine.Put(key, value, 1'000'000 + Below(1000), database);
        return;
      }
      case 7:
      case 8:
        machine.Settle();
        machine.maintenance().RunAll();
        machine.Turn();
        return;
      default: {
        const std::string key = Key();
        const std::string value = Value();
        machine.Put(key, value, 0, database);
        machine.Turn();
        return;
      }
    }
  }

  // Keeps what goes.
  void Compact(Machine& machine) {
    machine.Settle();
    std::map<std::string, std::string> before;
    for (const std::string& name : disk_->Names()) {
      if (SegmentIdOf(name)) before[name] = disk_->ReadAll(name);
    }
    manifests_.push_back(disk_->ReadAll(kManifestName));
    std::vector<uint64_t> chosen;
    for (const uint64_t id : machine.store().SealedSegments()) {
      if (Below(2) == 0) chosen.push_back(id);
    }
    machine.Compact(chosen);
    for (auto& [name, bytes] : before) {
      if (!disk_->Exists(name)) victims_[name] = std::move(bytes);
    }
  }

  // --- The damage ---

  void Do(std::string what) { done_.push_back(std::move(what)); }

  std::vector<std::string> Files(std::string_view ending) const {
    std::vector<std::string> files;
    for (const std::string& name : disk_->Names()) {
      if (name.ends_with(ending)) files.push_back(name);
    }
    return files;
  }

  std::string AnyFile(std::string_view ending) {
    const std::vector<std::string> files = Files(ending);
    return files.empty() ? "" : files[Any(files.size())];
  }

  void Damage() {
    for (const std::string& name : Files(".seg")) origin_[name] = name;
    if (Below(3) == 0) DamageManifest();
    for (int left = Below(4); left > 0; --left) DamageSomething();
    if (done_.empty()) DamageSomething();
  }

  void DamageManifest() {
    const std::string name(kManifestName);
    switch (Below(3)) {
      case 0:
        disk_->Remove(name);
        Do("no MANIFEST");
        break;
      case 1:
        Flip(name, 1);
        break;
      default:
        if (manifests_.empty()) return;
        disk_->Put(name, manifests_[Any(manifests_.size())]);
        Do("an old MANIFEST");
    }
    manifest_intact_ =
        disk_->Exists(name) && disk_->ReadAll(name) == original_->BytesOf(name);
  }

  void Flip(const std::string& name, int count) {
    const std::string bytes = disk_->ReadAll(name);
    // Where something stands.
    const size_t written = bytes.find_last_not_of('\0');
    if (written == std::string::npos) return;
    for (int i = 0; i < count; ++i) {
      const size_t at = Any(written + 1);
      disk_->Flip(name, at * 8 + Any(8));
      Do(fmt::format("flip in {} at {}", name, at));
    }
  }

  void DamageSomething() {
    const std::string name = AnyFile(".seg");
    if (name.empty()) return;
    const uint64_t size = disk_->ReadAll(name).size();
    switch (Below(10)) {
      case 0:
      case 1:
        return Flip(name, 1 + Below(4));
      case 2: {
        if (size == 0) return;
        const uint64_t at = Any(size);
        const uint64_t bytes = std::min<uint64_t>(1 + Any(2000), size - at);
        const char filler = Below(2) == 0 ? '\0' : 'K';
        disk_->Overwrite(name, at, std::string(bytes, filler));
        return Do(
            fmt::format("overwrite {} at {} to {}", name, at, at + bytes));
      }
      case 3: {
        const uint64_t bytes = Any(size + 1);
        disk_->Truncate(name, bytes);
        return Do(fmt::format("cut {} to {}", name, bytes));
      }
      case 4:
        disk_->Remove(name);
        origin_.erase(name);
        return Do("remove " + name);
      case 5:
        return Swap(name, AnyFile(".seg"));
      case 6: {
        const std::string other = fmt::format("found{}.seg", Below(3));
        if (disk_->Exists(other)) return;
        disk_->Copy(name, other);
        disk_->Remove(name);
        origin_[other] = origin_[name];
        origin_.erase(name);
        return Do(fmt::format("rename {} to {}", name, other));
      }
      case 7:
        for (const auto& [victim, bytes] : victims_) {
          if (disk_->Exists(victim) || Below(2) == 0) continue;
          disk_->Put(victim, bytes);
          Do("victim back " + victim);
        }
        return;
      case 8:
        // Its first group, where the head stands.
        disk_->Overwrite(name, 0, std::string(Any(200), 'x'));
        return Do("overwrite the beginning of " + name);
      default:
        DamageHint();
    }
  }

  void Swap(const std::string& one, const std::string& other) {
    if (one == other) return;
    const std::string bytes = disk_->ReadAll(one);
    disk_->Copy(other, one);
    disk_->Put(other, bytes);
    std::swap(origin_[one], origin_[other]);
    Do(fmt::format("swap {} and {}", one, other));
  }

  void DamageHint() {
    const std::string name = AnyFile(".hint");
    if (name.empty()) return;
    if (Below(2) == 0) return Flip(name, 1);
    disk_->Remove(name);
    Do("remove " + name);
  }

  // --- What is left ---

  struct Rest {
    std::string origin;
    std::string bytes;
  };

  void LookAtRest() {
    for (const auto& [name, origin] : origin_) {
      if (origin.empty()) continue;
      Rest rest = {origin, disk_->ReadAll(name)};
      if (CanTell(name, rest)) rest_.push_back(std::move(rest));
    }
  }

  bool IsSame(const Rest& rest, uint64_t at, uint64_t bytes) const {
    const std::string_view before = original_->BytesOf(rest.origin);
    return rest.bytes.size() >= at + bytes &&
           std::string_view(rest.bytes).substr(at, bytes) ==
               before.substr(at, bytes);
  }

  // Whether a file still says which segment it is.
  bool CanTell(const std::string& name, const Rest& rest) const {
    if (IsSame(rest, 0, kSegmentHeaderBytes)) return true;
    if (name != rest.origin || !manifest_intact_) return false;
    return std::any_of(original_->marks().begin(), original_->marks().end(),
                       [&](const Mark& mark) {
                         return mark.file == rest.origin &&
                                IsSame(rest, mark.offset, kGroupHeaderBytes);
                       });
  }

  bool HasBytes(const std::string& origin, uint64_t offset,
                uint64_t bytes) const {
    return std::any_of(rest_.begin(), rest_.end(), [&](const Rest& rest) {
      return rest.origin == origin && IsSame(rest, offset, bytes);
    });
  }

  bool IsIntact(uint64_t seq) const {
    const Spot* spot = original_->Find(seq);
    return spot != nullptr && HasBytes(spot->file, spot->offset, spot->bytes);
  }

  // Whether anything that is left proves that a change had been durable.
  bool IsProven(uint64_t seq) const {
    const Spot* spot = original_->Find(seq);
    if (spot == nullptr) return true;
    if (manifest_intact_) {
      for (const SealedSegment& s : original_->manifest().sealed) {
        if (SegmentName(s.id) == spot->file) return true;
      }
    }
    return std::any_of(
        original_->marks().begin(), original_->marks().end(),
        [&](const Mark& mark) {
          return mark.epoch == spot->epoch && mark.durable_seq >= seq &&
                 HasBytes(mark.file, mark.offset, kGroupHeaderBytes);
        });
  }

  // The change behind which an entry of this number was no longer there;
  // nothing if it never was there.
  std::optional<uint64_t> EndOf(uint64_t seq, const std::string& key,
                                const Held& held) const {
    for (size_t i = states_.size(); i-- > 0;) {
      for (const auto& [place, one] : states_[i].first) {
        if (one.seq != seq || place.second != key) continue;
        if (one != held) return std::nullopt;
        return i + 1 == states_.size() ? seq : states_[i + 1].second;
      }
    }
    return std::nullopt;
  }

  // --- The check ---

  std::string Check(bool uncertain) {
    SimFileSystem fresh("/new");
    SalvageReport report;
    {
      const auto from = disk_->OpenDirectory(/*read_only=*/true);
      const auto to = fresh.OpenDirectory();
      SalvageOptions options;
      options.uncertain = uncertain;
      options.now_ms = kNowMs;
      options.segment_bytes = 16 * 1024;
      Result<SalvageReport> salvaged = Salvage(*from, *to, options);
      if (!salvaged) {
        const bool nothing_left = !HasHeader() && !manifest_intact_;
        return nothing_left ? "" : salvaged.error().message();
      }
      report = std::move(*salvaged);
    }
    said_ = ReportInWords(report, {"/sim", "/new", uncertain});
    History history;
    Machine machine(&fresh, &history, options_);
    machine.clock().SetWallMs(kNowMs);
    if (Result<void> opened = machine.Open(); !opened) {
      return "what it made does not open: " + opened.error().message();
    }
    const Contents found = machine.Dump();
    if (!uncertain) Count(report, found);
    std::string wrong = CheckFound(found, report, uncertain);
    if (wrong.empty()) wrong = CheckCurrent(found, report, uncertain);
    if (!wrong.empty()) return wrong;
    const uint64_t newest = states_.back().second;
    if (!machine.Put("probe", "works")) return "takes no writes";
    const uint64_t next = machine.store().last_seq();
    return next > newest ? "" : fmt::format("gives revision {} again", next);
  }

  // Without the identity of a store nothing in its groups can be verified.
  bool HasHeader() const {
    if (!Files(".hint").empty()) return true;
    for (const std::string& name : Files(".seg")) {
      SegmentHeader header;
      if (DecodeSegmentHeader(disk_->ReadAll(name), &header) ==
          HeaderOutcome::kHeader) {
        return true;
      }
    }
    return false;
  }

  void Count(const SalvageReport& report, const Contents& found) {
    figures_.keys += current_.size();
    figures_.salvaged += found.size();
    figures_.uncertain += report.doubtful.size();
    for (const auto& [place, held] : current_) {
      figures_.intact += IsIntact(held.seq) ? 1 : 0;
    }
  }

  // Whether a swap may be lost: that is said, or nothing is left that tells.
  bool MapMayBeOff(const SalvageReport& report) const {
    return report.databases_unknown || !manifest_intact_ ||
           std::any_of(
               report.losses.begin(), report.losses.end(),
               [](const Loss& loss) { return loss.kind == Loss::Kind::kTorn; });
  }

  bool Names(const SalvageReport& report,
             const std::pair<int, std::string>& place) const {
    return std::any_of(
        report.doubtful.begin(), report.doubtful.end(),
        [&](const DoubtfulKey& key) {
          return key.key == place.second &&
                 (key.database == place.first || MapMayBeOff(report));
        });
  }

  // Whether a key is there, in whatever database.
  static bool IsSomewhere(const Contents& found, const std::string& key,
                          const Held& held) {
    return std::any_of(found.begin(), found.end(), [&](const auto& item) {
      return item.first.second == key && item.second == held;
    });
  }

  // Nothing is there that was not; nothing that a change which is proven has
  // replaced.
  std::string CheckFound(const Contents& found, const SalvageReport& report,
                         bool uncertain) const {
    for (const auto& [place, held] : found) {
      const auto current = current_.find(place);
      if (current != current_.end() && current->second == held) continue;
      if (MapMayBeOff(report) && IsSomewhere(current_, place.second, held)) {
        continue;
      }
      const std::string what = fmt::format("{}:{} of revision {}", place.first,
                                           place.second, held.seq);
      const auto end = EndOf(held.seq, place.second, held);
      if (!end) return what + " was never there";
      if (uncertain && Names(report, place)) continue;
      if (report.databases_unknown) continue;
      if (IsProven(*end)) {
        return fmt::format("{} is there, and was replaced by {}", what, *end);
      }
    }
    return "";
  }

  // What is intact is there, or named; what is not is reported.
  std::string CheckCurrent(const Contents& found, const SalvageReport& report,
                           bool uncertain) const {
    for (const auto& [place, held] : current_) {
      const auto there = found.find(place);
      if (there != found.end() && there->second == held) continue;
      if (MapMayBeOff(report) && IsSomewhere(found, place.second, held)) {
        continue;
      }
      const std::string what = fmt::format("{}:{} of revision {}", place.first,
                                           place.second, held.seq);
      if (report.databases_unknown) continue;
      if (IsIntact(held.seq)) {
        if (!uncertain && Names(report, place)) continue;
        return what + " is intact, and not there";
      }
      if (!IsReported(report, place, held.seq) && IsProven(held.seq)) {
        return what + " is lost, and nothing says so";
      }
    }
    return "";
  }

  bool IsReported(const SalvageReport& report,
                  const std::pair<int, std::string>& place,
                  uint64_t seq) const {
    if (Names(report, place) || report.unknown_last_seq >= seq) return true;
    for (const Loss& loss : report.losses) {
      for (const SeqRange& range : loss.seqs) {
        if (range.first <= seq && seq <= range.last) return true;
      }
    }
    return false;
  }

  std::mt19937_64 random_;
  uint64_t seed_;
  DamageFigures& figures_;
  StoreOptions options_;
  std::unique_ptr<SimFileSystem> disk_;
  Contents current_;
  // All that the store ever held, and the change after which it did.
  std::vector<std::pair<Contents, uint64_t>> states_;
  std::vector<std::string> manifests_;          // Older ones.
  std::map<std::string, std::string> victims_;  // Removed segments.
  std::unique_ptr<Original> original_;
  bool manifest_intact_ = true;
  // Of each segment's file: which one it was.
  std::map<std::string, std::string> origin_;
  std::vector<Rest> rest_;  // Those that can be told.
  std::vector<std::string> done_;
  std::vector<std::string> said_;
};

}  // namespace

std::string RunDamage(uint64_t seed, DamageFigures* figures) {
  return DamageRun(seed, figures).Run();
}

}  // namespace kvd
