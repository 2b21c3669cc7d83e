// SPDX-License-Identifier: MIT
//
// kvd's own commands: values with their revisions, the daemon's state, and
// backups. Of those a client reads the segments and the MANIFEST of one moment,
// and makes of them what it likes; kvctl a file. It asks for one piece after
// the other, so that it sets the pace, needs little memory and leaves out what
// it has.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"
#include "daemon/state/memory_figures.h"
#include "log/format/manifest.h"
#include "store/batches.h"

namespace kvd {
namespace {

// Whether a script may ask for the revision of what it changes: not where that
// is known only when all of it is durable. Answers an error if not.
bool KnowsOwnRevision(Call& call, std::string_view plain_name) {
  if (!call.by_script || call.service.batches == nullptr) return true;
  call.reply.Error(
      fmt::format("ERR etcd gives a change its revision when the whole script "
                  "is committed, so KV.{0} cannot return it to a script. Use "
                  "{0} in scripts, or KV.{0} outside of them",
                  plain_name));
  return false;
}

// The same of the revision that a key has. It may be the script's own, or one
// that becomes known shortly.
bool KnowsRevision(Call& call, Seq revision) {
  if (!call.by_script || revision < kProvisionalSeq) return true;
  if (revision <= call.began_after) {
    call.op->WaitFor(WaitsFor::kRoom);
  } else {
    call.reply.Error(
        "ERR etcd gives a change its revision when the whole script is "
        "committed, so KV.GET cannot return that of a key which the script has "
        "changed. Use GET");
  }
  return false;
}

void ReplyRevision(Call& call, Seq revision) {
  if (revision >= kProvisionalSeq) {
    call.service.batches->ShowsRevision(revision);
    // Behind the ":" that follows.
    call.session.provisional_revisions.push_back(call.reply.out()->size() + 1);
  }
  call.reply.Integer(static_cast<int64_t>(revision));
}

struct State {
  std::string_view name;
  std::string reason;
};

State StateOf(const ServerState& service, const StoreStats& stats,
              const BackingStatus& backing) {
  if (service.store == nullptr) {
    return {"loading", service.loading.Text(service.NowMs())};
  }
  if (service.store->storage_lost()) {
    return {"lost",
            service.store->failure()->message() +
                ". Writes are refused; copy what is in memory, then kvd exits"};
  }
  if (!backing.reason.empty()) return {backing.state, backing.reason};
  if (stats.disk_full) {
    return {"full", "the disk has no room for writes; deleting keys works"};
  }
  if (stats.memory_full) {
    return {"full",
            "memory.limit is reached: writes that need more are refused; "
            "deleting keys works"};
  }
  if (service.stats.flush_stalled_ms >= kFlushStalledMs) {
    return {"degraded", fmt::format("{} for {} ms", service.StallText(),
                                    service.stats.flush_stalled_ms)};
  }
  if (stats.damaged_segments > 0) {
    return {"damaged",
            fmt::format("damaged segments: {}; the log names them and what to "
                        "run (kvd verify, kvd salvage)",
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

constexpr size_t kDaemonFields = 13;
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

void AddBackingFields(const BackingStatus& backing, StatusWriter status) {
  for (const auto& [name, value] : backing.fields) {
    if (const auto* number = std::get_if<int64_t>(&value)) {
      status.Number(name, static_cast<uint64_t>(*number));
    } else {
      status.Text(name, std::get<std::string>(value));
    }
  }
}

void AddLoadingFields(const LoadProgress& progress, StatusWriter status) {
  status.Number("loaded_bytes", progress.bytes_done);
  status.Number("loading_bytes", progress.bytes_all);
}

// --- KV.BACKUP --------------------------------------------------------------

// Of one piece: what the loop hands over to the kernel in one go.
constexpr uint64_t kPieceBytesMax = 256 << 10;

constexpr size_t kBeginFields = 5;

// Nothing of it is of use any more.
void ReplyEnded(Call& call, const Error& error) {
  call.session.backup.reset();
  call.reply.Error("ERR the backup is not complete: " + error.message());
}

std::string HexOf(const StoreUuid& uuid) {
  std::string hex;
  for (const uint8_t byte : uuid) hex += fmt::format("{:02x}", byte);
  return hex;
}

// Without a copy, if it is large.
void ReplyPiece(Call& call, std::string piece) {
  if (call.lent == nullptr || piece.size() < kLentBytesMin) {
    return call.reply.Bulk(piece);
  }
  const auto kept = std::make_shared<const std::string>(std::move(piece));
  if (call.reply.BeginBulk(kept->size())) {
    call.lent->push_back({call.reply.out()->size(), *kept, kept});
  }
  call.reply.EndBulk();
}

void ReplyContents(Call& call, const Manifest& manifest) {
  ReplyWriter& reply = call.reply;
  uint64_t bytes = 0;
  for (const SealedSegment& segment : manifest.sealed) bytes += segment.bytes;
  reply.MapHeader(kBeginFields);
  reply.Bulk("revision");
  reply.Integer(static_cast<int64_t>(manifest.databases_as_of));
  reply.Bulk("uuid");
  reply.Bulk(HexOf(manifest.uuid));
  reply.Bulk("bytes");
  reply.Integer(static_cast<int64_t>(bytes));
  reply.Bulk("segments");
  reply.ArrayHeader(manifest.sealed.size());
  for (const SealedSegment& segment : manifest.sealed) {
    reply.ArrayHeader(3);
    reply.Integer(static_cast<int64_t>(segment.id));
    reply.Integer(static_cast<int64_t>(segment.bytes));
    reply.Bulk(fmt::format("{:016x}", segment.checksum));
  }
  reply.Bulk("manifest");
  reply.Bulk(EncodeManifest(manifest));
}

}  // namespace

void HandleKvGet(Call& call) {
  const bool only_meta = call.args.size() > 2;
  if (only_meta && !IsWord(call.args[2], "META")) {
    return call.reply.Error(kSyntaxError);
  }
  const Entry* entry = Lookup(call, call.args[1]);
  if (entry == nullptr) return call.reply.Null();
  if (!KnowsRevision(call, entry->seq())) return;
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
  if (!KnowsOwnRevision(call, "SET")) return;
  const Entry* old = call.op->Find(key);
  const auto holds = ConditionHolds(call, *options, old);
  if (!holds) return;
  if (!*holds) return call.reply.Null();
  const int64_t deadline_ms =
      options->keep_ttl ? DeadlineOf(old) : options->deadline_ms;
  if (!ReservePut(call, key, value.size(), deadline_ms)) return;
  ReplyRevision(call, call.op->Put(key, value, deadline_ms, EventOf(*options)));
}

void HandleKvCompact(Call& call) {
  if (!HasLog(call)) return;
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
  if (!KnowsOwnRevision(call, "DEL")) return;
  const Entry* old = call.op->Find(key);
  if (old == nullptr || (expected && old->seq() != *expected)) {
    return call.reply.Null();
  }
  if (!ReserveRemoval(call, key)) return;
  ReplyRevision(call, call.op->Remove(key, KeyEvent::kDel));
}

// Shows memory as it is, durable or not: it must answer while the disk does
// not. While the store loads, what is not known yet is missing.
void HandleKvStatus(Call& call) {
  const ServerState& service = call.service;
  const Store* store = service.store;
  const StoreStats stats = store != nullptr ? store->Stats() : StoreStats();
  const BackingStatus backing =
      store != nullptr ? store->Backing() : BackingStatus();
  const State state = StateOf(service, stats, backing);

  call.reply.MapHeader(kDaemonFields + backing.fields.size() +
                       (store != nullptr ? kStoreFields : kLoadingFields));
  StatusWriter status{call.reply};
  status.Text("version", kVersion);
  status.Number("uptime_s", static_cast<uint64_t>(
                                (service.NowMs() - service.started_ms) / 1000));
  status.Number("pid", static_cast<uint64_t>(getpid()));
  status.Text("socket", service.socket_path);
  status.Text("data_dir", service.config.data_dir);
  status.Text("backend", service.config.storage.backend);
  status.Number("value_bytes_max", service.config.limits.value_bytes);
  status.Text("state", state.name);
  status.Text("state_reason", state.reason);
  if (store != nullptr) {
    AddStoreFields(stats, status);
    AddMemoryFields(MemoryFiguresOf(service), status);
    AddCompactionFields(store->compaction(), status);
    AddScrubFields(store->scrub(), status);
    AddBackingFields(backing, status);
  } else {
    AddLoadingFields(service.loading.progress, status);
  }
  status.Text("sync", ToString(service.config.durability.sync));
  status.Number("connections", service.sessions.size());
  status.Number("errors", service.stats.protocol_errors);
  status.Number("subscribers_closed", service.stats.subscribers_closed);
}

// While a command waits, its connection's end is not read: who begins again
// right behind a reader that went in the middle would hear of that one.
void DropBackupOfGoneClient(ServerState& service) {
  for (Session* session : service.sessions) {
    if (session->backup == nullptr) continue;
    pollfd socket = {.fd = session->fd, .events = 0, .revents = 0};
    if (poll(&socket, 1, 0) == 1 && (socket.revents & POLLHUP) != 0) {
      session->backup.reset();
    }
  }
}

void HandleKvBackupBegin(Call& call) {
  Session& session = call.session;
  // It is not a second one, but the first, which could not be answered before.
  const bool goes_on = session.backup != nullptr && !session.backup_begun;
  if (call.service.batches != nullptr) {
    return call.reply.Error(
        "ERR the data is in etcd: back it up there, with \"etcdctl snapshot "
        "save FILE\", or copy the keys with \"kvctl export\"");
  }
  if (!goes_on) {
    DropBackupOfGoneClient(call.service);
    Result<std::unique_ptr<Backup>> begun = Backup::Begin(*call.service.store);
    if (!begun) return call.reply.Error("ERR " + begun.error().message());
    session.backup = std::move(*begun);
    session.backup_begun = false;
  }
  const Result<const Manifest*> contents = session.backup->Contents();
  if (!contents) return ReplyEnded(call, contents.error());
  if (*contents == nullptr) return call.op->WaitFor(WaitsFor::kNews);
  session.backup_begun = true;
  ReplyContents(call, **contents);
}

void HandleKvBackupRead(Call& call) {
  const auto segment = ParseUnsigned(call.args[2]);
  const auto offset = ParseUnsigned(call.args[3]);
  const auto bytes = ParseUnsigned(call.args[4]);
  if (!segment || !offset || !bytes) return call.reply.Error(kNotAnInteger);
  const auto& backup = call.session.backup;
  if (backup == nullptr) {
    return call.reply.Error(
        "ERR no backup is under way on this connection: KV.BACKUP BEGIN");
  }
  Result<std::optional<std::string>> piece = backup->Read(
      *segment, *offset,
      static_cast<size_t>(std::min<uint64_t>(*bytes, kPieceBytesMax)));
  if (!piece && piece.error().code() == ErrorCode::kInvalid) {
    return call.reply.Error("ERR " + piece.error().message());
  }
  if (!piece) return ReplyEnded(call, piece.error());
  if (!*piece) return call.op->WaitFor(WaitsFor::kNews);
  ReplyPiece(call, std::move(**piece));
}

void HandleKvBackupEnd(Call& call) {
  const auto& backup = call.session.backup;
  if (backup == nullptr) {
    return call.reply.Error("ERR no backup is under way on this connection");
  }
  const Result<const Manifest*> contents = backup->Contents();
  if (!contents) return ReplyEnded(call, contents.error());
  backup->Finish();
  call.session.backup.reset();
  call.reply.Ok();
}

// As the table says it.
void HandleKvHelp(Call& call) {
  const Command& container = *FindCommand(call.args[0]);
  std::vector<std::string> lines = {fmt::format(
      "{} <subcommand> [<arg> ...]. Subcommands are:", container.name)};
  for (const Command& command : container.subcommands) {
    const std::string_view gap = command.syntax.empty() ? "" : " ";
    lines.push_back(fmt::format("{}{}{}", command.name, gap, command.syntax));
    lines.push_back(fmt::format("    {}", command.summary));
  }
  ReplyLines(call, std::vector<std::string_view>(lines.begin(), lines.end()));
}

}  // namespace kvd
