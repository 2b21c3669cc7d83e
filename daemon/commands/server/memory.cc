// SPDX-License-Identifier: MIT
//
// MEMORY: what keys take, and what all of it is for. Source of names and texts:
// Valkey.
#include <string>

#include "base/allocator.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"
#include "daemon/state/memory_figures.h"

namespace kvd {
namespace {

// When the doctor finds something: the share of the limit that keys take, and
// what the process has beyond what it counts.
constexpr uint64_t kCrowdedPercent = 90;
constexpr double kFragmented = 1.5;
constexpr uint64_t kFragmentedBytesMin = uint64_t{64} << 20;

// Pairs of a map whose number comes first on the wire.
class Pairs {
 public:
  explicit Pairs(const Call& call) : writer_(&bytes_, call.reply.protocol()) {}

  void Number(std::string_view name, uint64_t value) {
    Name(name);
    writer_.Integer(static_cast<int64_t>(value));
  }
  void Fraction(std::string_view name, double value) {
    Name(name);
    writer_.Double(value);
  }
  void Reply(Call& call) {
    call.reply.MapHeader(count_);
    call.reply.out()->append(bytes_);
  }

 private:
  void Name(std::string_view name) {
    writer_.Bulk(name);
    ++count_;
  }

  std::string bytes_;
  ReplyWriter writer_;
  size_t count_ = 0;
};

uint64_t KeysOf(const StoreStats& stats) {
  uint64_t keys = 0;
  for (const uint64_t count : stats.keys) keys += count;
  return keys;
}

double Ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0
                    : static_cast<double>(part) / static_cast<double>(whole);
}

// Whether the words from the fourth on are right; answers an error if not. One
// value has nothing to sample.
bool SamplesFit(Call& call) {
  for (size_t i = 3; i < call.args.size(); i += 2) {
    if (!IsWord(call.args[i], "SAMPLES") || i + 1 == call.args.size()) {
      call.reply.Error(kSyntaxError);
      return false;
    }
    const auto samples = IntegerWord(call, i + 1);
    if (!samples) return false;
    if (*samples < 0) {
      call.reply.Error(kSyntaxError);
      return false;
    }
  }
  return true;
}

// What is the matter, the worst first.
std::string Diagnosis(const ServerState& service, const MemoryFigures& figures,
                      const StoreStats& stats, uint64_t resident) {
  const uint64_t keys = figures.keys_and_values() - figures.values;
  if (stats.memory_full) {
    return fmt::format(
        "Keys and tables take {}, and memory.limit is {}: writes that need "
        "more "
        "are refused. Delete keys or raise the limit.",
        HumanBytes(keys), HumanBytes(figures.limit));
  }
  if (figures.limit != 0 && keys / kCrowdedPercent >= figures.limit / 100) {
    return fmt::format(
        "Keys and tables take {} of the {} that memory.limit allows: {}soon "
        "writes are refused. Delete keys or raise the limit.",
        HumanBytes(keys), HumanBytes(figures.limit),
        service.batches == nullptr ? "values are read from disk, and " : "");
  }
  const uint64_t used = figures.used();
  if (resident > used + kFragmentedBytesMin &&
      Ratio(resident, used) > kFragmented) {
    return fmt::format(
        "The process has {}, and {} of it are in use: MEMORY PURGE gives back "
        "what is free.",
        HumanBytes(resident), HumanBytes(used));
  }
  if (stats.reads_waited > 0) {
    return fmt::format(
        "Memory is in order. Values take {} of {}, and {} reads waited for the "
        "disk: a larger memory.value_cache would spare some of them.",
        HumanBytes(figures.values), HumanBytes(figures.value_cache),
        stats.reads_waited);
  }
  return fmt::format("Memory is in order: {} in use, {} of it values.",
                     HumanBytes(used), HumanBytes(figures.values));
}

}  // namespace

void HandleMemoryUsage(Call& call) {
  if (!SamplesFit(call)) return;
  const Entry* entry = call.op->Find(call.args[2]);
  if (entry == nullptr) return call.reply.Null();
  call.reply.Integer(static_cast<int64_t>(call.op->MemoryOf(*entry)));
}

void HandleMemoryStats(Call& call) {
  // Of all changes, durable or not.
  call.shows = call.service.store->last_seq();
  const MemoryFigures figures = MemoryFiguresOf(call.service);
  NoteMemoryPeak(call.service, figures);
  const uint64_t used = figures.used();
  const uint64_t resident = ResidentBytes();
  const uint64_t dataset = figures.entries + figures.values;
  const StoreStats stats = call.service.store->Stats();
  const uint64_t keys = KeysOf(stats);
  Pairs pairs(call);
  pairs.Number("peak.allocated", call.service.memory_peak);
  pairs.Number("total.allocated", used);
  pairs.Number("clients.normal", figures.connections);
  pairs.Number("aof.buffer", figures.log_buffers);
  pairs.Number("kvd.slow-log", figures.slow_log);
  pairs.Number("kvd.scripts", figures.scripts);
  pairs.Number("overhead.total", used - dataset);
  pairs.Number("keys.count", keys);
  pairs.Number("keys.bytes-per-key",
               keys == 0 ? 0 : figures.keys_and_values() / keys);
  pairs.Number("dataset.bytes", dataset);
  pairs.Fraction("dataset.percentage", 100 * Ratio(dataset, used));
  pairs.Number("allocator.allocated", AllocatedBytes() + stats.slab_bytes);
  pairs.Number("allocator.resident", resident);
  pairs.Fraction("fragmentation", Ratio(resident, used));
  pairs.Number("fragmentation.bytes", resident - std::min(resident, used));
  pairs.Number("maxmemory", figures.limit);
  pairs.Number("kvd.entries", figures.entries);
  pairs.Number("kvd.values", figures.values);
  pairs.Number("kvd.index", figures.index);
  pairs.Number("kvd.deadlines", figures.deadlines);
  pairs.Number("kvd.queued", figures.queued);
  pairs.Number("kvd.value-cache", figures.value_cache);
  pairs.Reply(call);
}

void HandleMemoryDoctor(Call& call) {
  call.shows = call.service.store->last_seq();
  const std::string text =
      Diagnosis(call.service, MemoryFiguresOf(call.service),
                call.service.store->Stats(), ResidentBytes());
  call.reply.VerbatimText(text + "\n");
}

void HandleMemoryMallocStats(Call& call) {
  call.reply.Bulk("Stats not supported for the current allocator");
}

void HandleMemoryPurge(Call& call) {
  call.WhenCertain([] { ReleaseFreeMemory(); });
  call.reply.Ok();
}

void HandleMemoryHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "DOCTOR",
      "    Return memory problems reports.",
      "MALLOC-STATS",
      "    Return internal statistics report from the memory allocator.",
      "PURGE",
      "    Attempt to purge dirty pages for reclamation by the allocator.",
      "STATS",
      "    Return information about the memory usage of the server.",
      "USAGE <key> [SAMPLES <count>]",
      "    Return memory in bytes used by <key> and its value. Nested values "
      "are",
      "    sampled up to <count> times (default: 5, 0 means sample all).",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

}  // namespace kvd
