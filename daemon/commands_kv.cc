// SPDX-License-Identifier: MIT
//
// kvd's own commands: values with their revisions, and the daemon's state.
#include <unistd.h>

#include "daemon/handlers.h"
#include "daemon/handling.h"
#include "daemon/text.h"

namespace kvd {
namespace {

void ReplyRevision(Call& call, Seq revision) {
  call.reply.Integer(static_cast<int64_t>(revision));
}

struct State {
  std::string_view name;
  std::string reason;
};

State StateOf(const Service& service, const StoreStats& stats) {
  if (service.store == nullptr) {
    return {"loading", service.loading.Text(service.NowMs())};
  }
  if (stats.disk_full) {
    return {"full", "the disk has no room for writes; deleting keys works"};
  }
  if (service.stats.flush_stalled_ms >= kFlushStalledMs) {
    return {"degraded", fmt::format("the disk has not finished a flush for "
                                    "{} ms",
                                    service.stats.flush_stalled_ms)};
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

constexpr size_t kDaemonFields = 11;
constexpr size_t kStoreFields = 6;
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
}

void AddLoadingFields(const LoadProgress& progress, StatusWriter status) {
  status.Number("loaded_bytes", progress.bytes_done);
  status.Number("loading_bytes", progress.bytes_all);
}

}  // namespace

void HandleKvGet(Call& call) {
  const Entry* entry = Lookup(call, call.args[1]);
  if (entry == nullptr) return call.reply.Null();
  call.reply.ArrayHeader(3);
  call.reply.Bulk(entry->value());
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
  if (!ConditionHolds(*options, old)) return call.reply.Null();
  const int64_t deadline_ms =
      options->keep_ttl ? DeadlineOf(old) : options->deadline_ms.value_or(0);
  if (!ReservePut(call, key, value.size())) return;
  ReplyRevision(call, call.op->Put(key, value, deadline_ms));
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
  const Service& service = call.service;
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
  } else {
    AddLoadingFields(service.loading.progress, status);
  }
  status.Text("sync", ToString(service.config.durability.sync));
  status.Number("connections", service.sessions.size());
  status.Text("compaction", "idle");
  status.Number("errors", service.stats.output_limit_closed +
                              service.stats.protocol_errors);
}

}  // namespace kvd
