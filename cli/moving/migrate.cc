// SPDX-License-Identifier: MIT
//
// Moves all that there is from one running kvd to another, one of which has its
// data in etcd: import, export and verify in one, between two kvds.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cli/command_line.h"
#include "cli/moving/large_values.h"
#include "cli/moving/move.h"
#include "cli/moving/options.h"
#include "cli/moving/report.h"
#include "cli/moving/verify.h"
#include "cli/records/checkpoint.h"
#include "cli/servers/other_types.h"
#include "cli/servers/server_sink.h"
#include "cli/servers/server_source.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/status/status_fields.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

constexpr const char* kLocal = "local";
constexpr const char* kEtcd = "etcd";

// A kvd, and what it says of itself.
struct End {
  std::unique_ptr<Peer> peer;
  std::string backend;
  int64_t value_bytes_max = 0;
};

Attempt<End> Connect(const PeerOptions& options) {
  End end;
  KVD_TRY_ASSIGN(end.peer, Peer::Connect(options));
  if (!end.peer->is_kvd()) {
    return Refuse(ExitCode::kUsage,
                  "{} is no kvd\n  For Redis and Valkey:  kvctl export "
                  "--to-redis PLACE, kvctl import --from-redis PLACE",
                  end.peer->name());
  }
  KVD_TRY_ASSIGN(const kvd::Reply reply, end.peer->Call({"KV.STATUS"}));
  StatusFields fields(reply);
  end.backend = fields.Text("backend").value_or(kLocal);
  end.value_bytes_max = fields.Integer("value_bytes_max").value_or(0);
  return end;
}

Attempt<void> CheckBackend(const End& end, const std::string& wanted) {
  if (end.backend == wanted) return {};
  if (wanted == kEtcd) {
    return Refuse(ExitCode::kUsage,
                  "{} has its data on its machine, not in etcd"
                  "\n  Name the socket of a kvd-etcd whose storage.backend is "
                  "\"etcd\"",
                  end.peer->name());
  }
  return Refuse(ExitCode::kUsage,
                "{} has its data in etcd already"
                "\n  Name the socket of the kvd with the other data:  --socket "
                "PATH",
                end.peer->name());
}

class Migrate final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Text("--to-etcd", "SOCKET", &to_etcd_,
                   "move to the kvd-etcd at this socket what the kvd at "
                   "--socket has, then compare");
    arguments.Text("--from-etcd", "SOCKET", &from_etcd_,
                   "move from the kvd-etcd at this socket to the kvd at "
                   "--socket, then compare");
    arguments.Flag("--force", &force_,
                   "even if keys are there already: those with the same names "
                   "are replaced, the others stay");
    arguments.Flag("--dry-run", &dry_run_,
                   "move nothing: look whether all would be taken, and count");
    arguments.Text("--resume-file", "STATE", &resume_file_,
                   "remember there how far it is; the same command goes on "
                   "from there");
  }

  Attempt<ExitCode> Run(Session& session) override {
    if (to_etcd_.has_value() == from_etcd_.has_value()) {
      return Refuse(ExitCode::kUsage,
                    "migrate: either --to-etcd or --from-etcd"
                    "\n  See:  kvctl migrate --help");
    }
    if (session.options().db) {
      return Refuse(ExitCode::kUsage,
                    "migrate moves all databases, and knows no --db");
    }
    KVD_TRY_ASSIGN(const PeerOptions own, OwnPeer(session.options()));
    KVD_TRY_ASSIGN(const PeerOptions etcd, EtcdPeer(session.options()));
    KVD_TRY_ASSIGN(const End here, Connect(own));
    KVD_TRY(CheckBackend(here, kLocal));
    KVD_TRY_ASSIGN(const End there, Connect(etcd));
    KVD_TRY(CheckBackend(there, kEtcd));
    return to_etcd_ ? Move(session, here, there) : Move(session, there, here);
  }

 private:
  Attempt<PeerOptions> EtcdPeer(const GlobalOptions& options) const {
    GlobalOptions other = options;
    other.socket = to_etcd_ ? *to_etcd_ : *from_etcd_;
    KVD_TRY_ASSIGN(PeerOptions peer, OwnPeer(other));
    peer.is_own = false;
    return peer;
  }

  Attempt<ExitCode> Move(Session& session, const End& from, const End& to) {
    KVD_TRY(CheckEmpty(to));
    KVD_TRY(CheckSizes(from, to));
    const KeySelection all;
    OtherTypes others;  // kvd has none.
    KVD_TRY_ASSIGN(const std::unique_ptr<ServerSource> source,
                   ServerSource::Open(from.peer.get(), all, &others));
    const Existing existing = dry_run_ ? Existing::kCount : Existing::kReplace;
    ServerSink sink(to.peer.get(), existing);
    Attempt<Moved> moved = kvctl::Move(source.get(), &sink, Options());
    if (!moved) return Unexpected(WithAdvice(std::move(moved).error()));
    ServerReport report = {.done_word = DoneWord(),
                           .moved = *moved,
                           .existing = existing,
                           .existing_count = sink.existing(),
                           .others = others,
                           .verified = {}};
    if (!dry_run_) {
      if (auto compared = Compare(from, to, &report); !compared) {
        return Unexpected(std::move(compared).error());
      }
    }
    return PrintReport(session, report);
  }

  // Both ways.
  Attempt<void> Compare(const End& from, const End& to,
                        ServerReport* report) const {
    Attempt<Verified> verified =
        Verify(from.peer.get(), to.peer.get(), KeySelection());
    if (!verified) return Unexpected(AllIsMoved(std::move(verified).error()));
    report->verified = *std::move(verified);
    Attempt<ExtraKeys> extra = FindExtraKeys(from.peer.get(), to.peer.get());
    if (!extra) return Unexpected(AllIsMoved(std::move(extra).error()));
    report->extra = *std::move(extra);
    report->extra_may_be = force_;
    report->target = to.peer->name();
    return {};
  }

  static Failure AllIsMoved(Failure failure) {
    failure.text +=
        "\n  All is moved, and not compared to the end. To compare again:  "
        "kvctl diff SOCKET SOCKET";
    return failure;
  }

  Attempt<void> CheckEmpty(const End& to) const {
    if (force_) return {};
    KVD_TRY_ASSIGN(const auto counts, to.peer->CountKeys());
    std::optional<Checkpoint> begun;
    if (resume_file_) {
      KVD_TRY_ASSIGN(begun, LoadCheckpoint(*resume_file_));
    }
    if (begun && begun->records > 0 && counts.empty()) {
      return Refuse(
          ExitCode::kUsage,
          "{} is empty, but {} says that {} records were moved"
          "\n  Remove the file to begin anew, or name the socket that "
          "they were moved to",
          to.peer->name(), Escape(*resume_file_), Grouped(begun->records));
    }
    if (begun || counts.empty()) return {};
    const auto& [database, keys] = *counts.begin();
    return Refuse(ExitCode::kNegative,
                  "{} is not empty (database {} has {}); nothing was moved"
                  "\n  To replace keys with the same names, as after an "
                  "interrupted migrate:  --force",
                  to.peer->name(), database,
                  keys == 1 ? "1 key" : Grouped(keys) + " keys");
  }

  static Attempt<void> CheckSizes(const End& from, const End& to) {
    if (to.value_bytes_max == 0) return {};  // It does not say.
    KVD_TRY_ASSIGN(const LargeValues large,
                   FindLargeValues(from.peer.get(), to.value_bytes_max));
    if (large.count == 0) return {};
    const bool all = static_cast<size_t>(large.count) == large.named.size();
    return Refuse(
        ExitCode::kNegative,
        "{} larger than {}, and {} takes no such values; nothing was moved"
        "\n  {}{}",
        large.count == 1 ? "1 value is" : Grouped(large.count) + " values are",
        HumanBytes(to.value_bytes_max), to.peer->name(),
        fmt::join(large.named, "\n  "), all ? "" : "\n  …");
  }

  // Unless the state file says it already.
  Failure WithAdvice(Failure failure) const {
    if (!resume_file_ && !dry_run_) {
      failure.text +=
          "\n  The same command with --force goes over everything again";
    }
    return failure;
  }

  const char* DoneWord() const { return dry_run_ ? "counted" : "moved"; }

  MoveOptions Options() const {
    const std::string task =
        to_etcd_ ? "migrate to " + *to_etcd_ : "migrate from " + *from_etcd_;
    return {.done_word = DoneWord(),
            .task = dry_run_ ? task + ", counting" : task,
            .resume_file = resume_file_,
            .saves_at_once = true};
  }

  std::optional<std::string> to_etcd_;
  std::optional<std::string> from_etcd_;
  bool force_ = false;
  bool dry_run_ = false;
  std::optional<std::string> resume_file_;
};

}  // namespace

std::unique_ptr<Verb> MakeMigrate() { return std::make_unique<Migrate>(); }

}  // namespace kvctl
