// SPDX-License-Identifier: MIT
#include "daemon/commands/counting.h"

#include <utility>

namespace kvd {
namespace {

void AddTime(CommandStats& stats, Timing timing, int64_t ns) {
  switch (timing) {
    case Timing::kNone:
      return stats.Untimed();
    case Timing::kSample:
      return stats.Sampled(static_cast<uint64_t>(ns));
    case Timing::kExact:
      return stats.Timed(static_cast<uint64_t>(ns));
  }
}

// Whether SLOWLOG has it. Words that come before authentication may be secret.
bool IsSlow(const ServerState& service, const Command& command, int64_t ns) {
  return ns / 1000 >= service.config.slowlog.threshold_us &&
         (command.flags & (kNoAuth | kNoSlowLog)) == 0;
}

SlowLog::Entry SlowEntry(const Call& call, int64_t ns) {
  return SlowLog::EntryOf(call.service.clock.WallMs() / 1000, ns / 1000,
                          call.args, call.session.name);
}

// Enters a call that began at `start_ns` and has just ended.
void CountTime(Call& call, const Command& command, CommandStats& stats,
               Timing timing, int64_t start_ns) {
  ServerState& service = call.service;
  const int64_t ns = service.ReadClock() - start_ns;
  // What has taken its time is entered, whatever it was thought to be.
  AddTime(stats, timing == Timing::kNone ? Timing::kExact : timing, ns);
  if (!IsSlow(service, command, ns)) return;
  service.slow_log.Add(SlowEntry(call, ns), service.store != nullptr
                                                ? service.store->last_seq()
                                                : 0);
}

// Scripts make codes as they like: there are not too many, and each is a word
// that INFO can show. Source of what the others count for: Valkey.
std::string NewErrorCode(const ServerState& service, std::string_view code) {
  constexpr size_t kCodesMax = 128;
  constexpr size_t kCodeBytesMax = 64;
  std::string word(code.substr(0, kCodeBytesMax));
  for (char& c : word) {
    if (c <= ' ' || c > '~' || c == ':' || c == '#') c = '_';
  }
  if (service.errors.size() < kCodesMax || service.errors.contains(word)) {
    return word;
  }
  return "ERRORSTATS_OVERFLOW";
}

}  // namespace

void CountCall(Call& call, const Command& command, CommandStats& stats,
               const BeforeCall& before) {
  ++call.service.stats.commands;
  ++call.session.commands;
  ++stats.calls;
  const size_t bytes = call.reply.out()->size() - before.reply +
                       (call.op != nullptr ? call.op->changed_bytes() : 0);
  if (before.timing == Timing::kNone && bytes < kManyBytes) {
    stats.Untimed();
  } else {
    CountTime(call, command, stats, before.timing, before.ns);
  }
}

void CountWhenCertain(Call& call, const Command& command, CommandStats& stats,
                      const BeforeCall& before) {
  ServerState& service = call.service;
  const int64_t ns = service.ReadClock() - before.ns;
  const uint64_t more_hits =
      std::exchange(service.stats.keyspace_hits, before.hits) - before.hits;
  const uint64_t more_misses =
      std::exchange(service.stats.keyspace_misses, before.misses) -
      before.misses;
  call.session.effects.push_back(
      [&service, &stats, timing = before.timing, ns, more_hits, more_misses] {
        ++service.stats.commands;
        service.stats.keyspace_hits += more_hits;
        service.stats.keyspace_misses += more_misses;
        ++stats.calls;
        AddTime(stats, timing, ns);
      });
  if (before.timing == Timing::kNone || !IsSlow(service, command, ns)) return;
  call.session.effects.push_back([&service, entry = SlowEntry(call, ns)] {
    service.slow_log.Add(entry, 0);
  });
}

void CountError(ServerState& service, std::string_view text) {
  ++service.stats.error_replies;
  const std::string_view code = text.substr(0, text.find_first_of(" \r"));
  const auto found = service.errors.find(code);
  if (found != service.errors.end()) {
    ++found->second;
  } else {
    ++service.errors[NewErrorCode(service, code)];
  }
}

}  // namespace kvd
