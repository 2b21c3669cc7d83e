// SPDX-License-Identifier: MIT
//
// What INFO, SLOWLOG and LATENCY say of commands: how often each was called,
// how long that took, and with which errors it ended. Thread: loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "daemon/commands/table.h"

namespace kvd {

// How one call is timed, see command_stats.h.
enum class Timing { kNone, kSample, kExact };

// How things were before a handler ran: where its reply begins, and what is
// counted while it runs.
struct BeforeCall {
  size_t reply;
  uint64_t hits;
  uint64_t misses;
  Timing timing;
  int64_t ns;
};

// These are inline as every command comes by.
inline Timing TimingOf(const Call& call, const CommandRow& row,
                       const CommandStats& stats) {
  if (!call.session.pipelines || call.args.size() > row.brief_words ||
      call.service.config.slowlog.threshold_us < kAlwaysTimedBelowUs) {
    return Timing::kExact;
  }
  return stats.IsDue() ? Timing::kSample : Timing::kNone;
}

inline BeforeCall NoteBefore(const Call& call, const CommandRow& row,
                             const CommandStats& stats) {
  ServerState& service = call.service;
  const Timing timing = TimingOf(call, row, stats);
  return {.reply = call.reply.out()->size(),
          .hits = service.stats.keyspace_hits,
          .misses = service.stats.keyspace_misses,
          .timing = timing,
          .ns = timing == Timing::kNone ? service.clock_read_ns
                                        : service.ReadClock()};
}

// A call has ended.
void CountCall(Call& call, const Command& command, CommandStats& stats,
               const BeforeCall& before);
// The same of a call that runs in a batch, once it is certain.
void CountWhenCertain(Call& call, const Command& command, CommandStats& stats,
                      const BeforeCall& before);
// Counts an error reply, which begins with its code.
void CountError(ServerState& service, std::string_view text);

}  // namespace kvd
