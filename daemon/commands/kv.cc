// SPDX-License-Identifier: MIT
//
// kvd's own commands: values with their revisions, and the daemon's state.
#include <unistd.h>

#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"
#include "daemon/state/memory_figures.h"

namespace kvd {
namespace {

void ReplyRevision(Call& call, Seq revision) {
  call.reply.Integer(static_cast<int64_t>(revision));
}

struct State {
  std::string_view name;
  std::string reason;
};

State StateOf(const ServerState& service, const StoreStats& stats) {
  if (service.store == nullptr) {
    return {"loading", service.loading.Text(service.NowMs())};
  }
  if (service.store->storage_lost()) {
    return {"lost",
            service.store->failure()->message() +
                ". Writes are refused; copy what is in memory, then kvd exits"};
  }
  if (stats.disk_full) {
    return {"full", "the disk has no room for writes; deleting keys works"};
  }
  if (stats.memory_full) {
    return {"full",
            "memory.limit is reached: writes that need more are refused; "
            "deleting keys works"};
  }
  if (service.stats.flush_stalled_ms >= kFlushStalledMs) {
    return {"degraded", fmt::format("the disk has not finished a flush for "
                                    "{} ms",
                                    service.stats.flush_stalled_ms)};
  }
  if (stats.damaged_segments > 0) {
    return {"damaged",
            fmt::format("damaged segments: {}; see the log, and copy "
                        "the data directory",
                        stats.damaged_segments)};
  }
  return {"ok", ""};
}

// Writes name and value of one field of KV.STATUS.
struct StatusWriter {
  ReplyWriter& reply;

  void Number(std::string_view name, uint64_t value) {
    reply.Bulk(name);
    reply.Integer(static_cast<int64_t>(value));
  }
  void Text(std::string_view name, std::string_view value) {
    reply.Bulk(name);
    reply.Bulk(value);
  }
};

constexpr size_t kDaemonFields = 10;
constexpr size_t kStoreFields = 29;
constexpr size_t kLoadingFields = 2;

void AddStoreFields(const StoreStats& stats, StatusWriter status) {
  uint64_t keys = 0;
  for (const uint64_t count : stats.keys) keys += count;
  status.Number("keys", keys);
  status.Number("live_bytes", stats.live_bytes);
  status.Number("dead_bytes", stats.dead_bytes);
  status.Number("segments", stats.segments);
  status.Number("last_seq", stats.last_seq);
  status.Number("durable_seq", stats.durable_seq);
  status.Number("sealed_bytes", stats.sealed_bytes);
  status.Number("reclaimable_bytes", stats.reclaimable_bytes);
  status.Number("damaged_segments", stats.damaged_segments);
  status.Number("damaged_values", stats.damaged_values);
}

void AddMemoryFields(const MemoryFigures& figures, StatusWriter status) {
  status.Number("memory_bytes", figures.keys_and_values());
  status.Number("memory_limit_bytes", figures.limit);
  status.Number("value_bytes", figures.values);
  status.Number("value_cache_bytes", figures.value_cache);
}

void AddCompactionFields(const CompactionStatus& compaction,
                         StatusWriter status) {
  status.Text("compaction", compaction.running ? "running" : "idle");
  status.Number("compaction_runs", compaction.runs_ended);
  status.Number("compaction_done_bytes", compaction.bytes_done);
  status.Number("compaction_all_bytes", compaction.bytes_all);
  status.Number("compaction_last_ended_ms",
                static_cast<uint64_t>(compaction.last_ended_ms));
  status.Number("compaction_last_took_ms",
                static_cast<uint64_t>(compaction.last_took_ms));
  status.Number("compaction_last_reclaimed_bytes",
                compaction.last_reclaimed_bytes);
  status.Text("compaction_last_error", compaction.last_error);
  status.Number("compaction_reclaimed_bytes", compaction.reclaimed_bytes);
}

void AddScrubFields(const ScrubStatus& scrub, StatusWriter status) {
  status.Text("scrub", scrub.running ? "running" : "idle");
  status.Number("scrub_rounds", scrub.rounds);
  status.Number("scrub_done_bytes", scrub.bytes_done);
  status.Number("scrub_all_bytes", scrub.bytes_all);
  status.Number("scrub_last_ended_ms",
                static_cast<uint64_t>(scrub.last_ended_ms));
  status.Number("scrub_errors", scrub.errors);
}

void AddLoadingFields(const LoadProgress& progress, StatusWriter status) {
  status.Number("loaded_bytes", progress.bytes_done);
  status.Number("loading_bytes", progress.bytes_all);
}

}  // namespace

void HandleKvGet(Call& call) {
  const bool only_meta = call.args.size() > 2;
  if (only_meta && !IsWord(call.args[2], "META")) {
    return call.reply.Error(kSyntaxError);
  }
  const Entry* entry = Lookup(call, call.args[1]);
  if (entry == nullptr) return call.reply.Null();
  call.reply.ArrayHeader(3);
  if (only_meta) {
    call.reply.Integer(static_cast<int64_t>(entry->value_size()));
  } else {
    ReplyValue(call, *entry);
  }
  ReplyRevision(call, entry->seq());
  call.reply.Integer(
      entry->has_deadline() ? DeadlineOf(entry) - call.op->now_ms() : -1);
}

void HandleKvSet(Call& call) {
  const std::string_view key = call.args[1];
  const std::string_view value = call.args[2];
  const auto options = ParseSetOptions(call, SetDialect::kKv);
  if (!options || !ValueFits(call, value.size())) return;
  const Entry* old = call.op->Find(key);
  const auto holds = ConditionHolds(call, *options, old);
  if (!holds) return;
  if (!*holds) return call.reply.Null();
  const int64_t deadline_ms =
      options->keep_ttl ? DeadlineOf(old) : options->deadline_ms;
  if (!ReservePut(call, key, value.size(), deadline_ms)) return;
  ReplyRevision(call, call.op->Put(key, value, deadline_ms));
}

void HandleKvCompact(Call& call) {
  Store& store = *call.service.store;
  const bool waits = call.args.size() > 1;
  if (waits && !IsWord(call.args[1], "WAIT")) {
    return call.reply.Error(kSyntaxError);
  }
  if (waits && call.in_transaction()) {
    return call.reply.Error(
        "ERR KV.COMPACT WAIT waits, which nothing does in a transaction");
  }
  const CompactionStatus& status = store.compaction();
  if (!waits) {
    // What Compact() will say.
    const uint64_t run = status.runs_ended + (status.running ? 2 : 1);
    call.WhenCertain([&store] { store.Compact(); });
    return call.reply.Integer(static_cast<int64_t>(run));
  }
  uint64_t& awaited = call.session.awaited_compaction;
  if (awaited == 0) {
    awaited = store.Compact();
    call.session.unblocked = Session::Unblocked::kNo;
  }
  if (status.runs_ended < awaited) {
    if (call.session.unblocked == Session::Unblocked::kNo) {
      return call.op->WaitFor(WaitsFor::kNews);
    }
    awaited = 0;
    if (!AnswersUnblocked(call)) call.reply.Null();
    return;
  }
  awaited = 0;
  if (!status.last_error.empty()) {
    return call.reply.Error("ERR compaction gave up, nothing was lost: " +
                            status.last_error);
  }
  call.reply.Integer(static_cast<int64_t>(status.last_reclaimed_bytes));
}

void HandleKvDel(Call& call) {
  const std::string_view key = call.args[1];
  std::optional<uint64_t> expected;
  if (call.args.size() > 2) {
    if (call.args.size() != 4 || !IsWord(call.args[2], "IFREV")) {
      return call.reply.Error(kSyntaxError);
    }
    expected = ParseUnsigned(call.args[3]);
    if (!expected) return call.reply.Error(kNotAnInteger);
  }
  const Entry* old = call.op->Find(key);
  if (old == nullptr || (expected && old->seq() != *expected)) {
    return call.reply.Null();
  }
  if (!ReserveRemoval(call, key)) return;
  ReplyRevision(call, call.op->Remove(key));
}

// Shows memory as it is, durable or not: it must answer while the disk does
// not. While the store loads, what is not known yet is missing.
void HandleKvStatus(Call& call) {
  const ServerState& service = call.service;
  const Store* store = service.store;
  const StoreStats stats = store != nullptr ? store->Stats() : StoreStats();
  const State state = StateOf(service, stats);

  call.reply.MapHeader(kDaemonFields +
                       (store != nullptr ? kStoreFields : kLoadingFields));
  StatusWriter status{call.reply};
  status.Text("version", kVersion);
  status.Number("uptime_s", static_cast<uint64_t>(
                                (service.NowMs() - service.started_ms) / 1000));
  status.Number("pid", static_cast<uint64_t>(getpid()));
  status.Text("socket", service.socket_path);
  status.Text("data_dir", service.config.data_dir);
  status.Text("state", state.name);
  status.Text("state_reason", state.reason);
  if (store != nullptr) {
    AddStoreFields(stats, status);
    AddMemoryFields(MemoryFiguresOf(service), status);
    AddCompactionFields(store->compaction(), status);
    AddScrubFields(store->scrub(), status);
  } else {
    AddLoadingFields(service.loading.progress, status);
  }
  status.Text("sync", ToString(service.config.durability.sync));
  status.Number("connections", service.sessions.size());
  status.Number("errors", service.stats.protocol_errors);
}

}  // namespace kvd
