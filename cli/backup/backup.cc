// SPDX-License-Identifier: MIT
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "backup/backup_writer.h"
#include "cli/backup/backup_file.h"
#include "cli/command_line.h"
#include "cli/duration.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

using Clock = std::chrono::steady_clock;
using kvd::BackupHeader;
using kvd::BackupSegment;

// What is asked for at once, and how many of these are under way: kvd reads
// while kvctl compresses.
constexpr uint64_t kPieceBytes = 256 << 10;
constexpr size_t kPiecesAhead = 4;
// Compression takes what kvd and its clients leave. Being nice is not enough:
// whoever wakes up would wait for the end of a slice, which is 3 ms.
void TakeIdleTimeOnly() {
  const sched_param none = {};
  std::ignore = sched_setscheduler(0, SCHED_IDLE, &none);
}

std::chrono::milliseconds Since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() -
                                                               start);
}

int64_t Signed(uint64_t number) { return static_cast<int64_t>(number); }

// What KV.BACKUP BEGIN says.
struct Contents {
  BackupHeader header;
  std::vector<BackupSegment> segments;
  std::string manifest;
};

std::optional<uint64_t> FromHex(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

bool TakeUuid(std::string_view text, BackupHeader* header) {
  if (text.size() != 2 * header->uuid.size()) return false;
  for (size_t i = 0; i < header->uuid.size(); ++i) {
    const auto byte = FromHex(text.substr(2 * i, 2));
    if (!byte) return false;
    header->uuid[i] = static_cast<uint8_t>(*byte);
  }
  return true;
}

bool TakeSegment(const kvd::Reply& reply,
                 std::vector<BackupSegment>* segments) {
  const std::vector<kvd::Reply>& fields = reply.elements;
  if (fields.size() != 3 || fields[0].type != kvd::ReplyType::kInteger ||
      fields[1].type != kvd::ReplyType::kInteger || fields[1].integer <= 0) {
    return false;
  }
  const auto checksum = FromHex(fields[2].text);
  if (!checksum) return false;
  segments->push_back({static_cast<uint64_t>(fields[0].integer),
                       static_cast<uint64_t>(fields[1].integer), *checksum});
  return true;
}

std::optional<Contents> ContentsOf(kvd::Reply& reply) {
  if (!reply.is_aggregate()) return std::nullopt;
  std::map<std::string, kvd::Reply*, std::less<>> fields;
  for (size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
    fields[reply.elements[i].text] = &reply.elements[i + 1];
  }
  Contents contents;
  for (const char* name : {"revision", "uuid", "segments", "manifest"}) {
    if (!fields.contains(name)) return std::nullopt;
  }
  contents.header.revision = static_cast<uint64_t>(fields["revision"]->integer);
  if (!TakeUuid(fields["uuid"]->text, &contents.header)) return std::nullopt;
  for (const kvd::Reply& segment : fields["segments"]->elements) {
    if (!TakeSegment(segment, &contents.segments)) return std::nullopt;
  }
  contents.manifest = std::move(fields["manifest"]->text);
  return contents;
}

// What an incremental backup builds on.
struct Base {
  BackupHeader header;
  uint64_t digest = 0;
  std::vector<BackupSegment> segments;
};

uint64_t BytesHere(const std::vector<BackupSegment>& segments) {
  uint64_t bytes = 0;
  for (const BackupSegment& segment : segments) {
    if (segment.here) bytes += segment.bytes;
  }
  return bytes;
}

class Backup final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Word("FILE", &file_,
                   "the backup; \"-\" is standard output, or input");
    arguments.Text("--base", "BACKUP", &base_,
                   "leave out what BACKUP has: FILE builds on it");
    arguments.Flag("--verify", &verify_,
                   "read FILE instead, and say whether it is intact");
  }

  Attempt<ExitCode> Run(Session& session) override {
    start_ = Clock::now();
    if (!verify_) return Make(session);
    if (base_) {
      return Refuse(ExitCode::kUsage,
                    "--verify and --base do not go together: each file of a "
                    "chain is verified by itself");
    }
    return Verify(session);
  }

 private:
  Attempt<ExitCode> Make(Session& session) {
    if (file_ == "-" && isatty(STDOUT_FILENO) == 1) {
      return Refuse(ExitCode::kUsage,
                    "a backup is not for a terminal\n  Name a file, or send it "
                    "on:  kvctl backup - | …");
    }
    std::optional<Base> base;
    if (base_) {
      KVD_TRY_ASSIGN(base, ReadBase());
    }
    KVD_TRY_ASSIGN(const auto file, NewBackupFile::Create(file_));
    TakeIdleTimeOnly();
    KVD_TRY_ASSIGN(Contents contents, Begin(session, base));
    KVD_TRY(Copy(session, contents, file.get()));
    KVD_TRY(file->Commit());
    return Report(session, contents, file->bytes());
  }

  Attempt<Base> ReadBase() const {
    KVD_TRY_ASSIGN(const auto input, BackupInput::Open(*base_));
    if (input->IsSameFile(file_)) {
      return Refuse(ExitCode::kUsage,
                    "{} is the base: a file that replaced it would build on "
                    "nothing",
                    file_);
    }
    KVD_TRY_ASSIGN(const kvd::BackupTrailer trailer, input->ReadTrailer());
    const kvd::BackupReader& reader = input->reader();
    return Base{reader.header(), trailer.digest, reader.segments()};
  }

  Attempt<Contents> Begin(Session& session,
                          const std::optional<Base>& base) const {
    KVD_TRY_ASSIGN(kvd::Reply reply, session.Call({"KV.BACKUP", "BEGIN"}));
    std::optional<Contents> contents = ContentsOf(reply);
    if (!contents) return UnforeseenReply("KV.BACKUP BEGIN");
    BackupHeader& header = contents->header;
    header.made_ms = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::system_clock::now().time_since_epoch())
            .count());
    if (!base) return *std::move(contents);
    if (base->header.uuid != header.uuid) {
      return Refuse(ExitCode::kUsage,
                    "{}: a backup of another store\n  Make a full one.",
                    *base_);
    }
    if (base->header.revision > header.revision) {
      return Refuse(ExitCode::kUsage,
                    "{}: of revision {}, and the store is only at {}\n  Make a "
                    "full backup.",
                    *base_, base->header.revision, header.revision);
    }
    header.incremental = true;
    header.base_digest = base->digest;
    header.base_revision = base->header.revision;
    std::map<uint64_t, const BackupSegment*> there;
    for (const BackupSegment& segment : base->segments) {
      there[segment.id] = &segment;
    }
    for (BackupSegment& segment : contents->segments) {
      const auto found = there.find(segment.id);
      segment.here = found == there.end() || !segment.SameBytes(*found->second);
    }
    return *std::move(contents);
  }

  Attempt<void> Copy(Session& session, const Contents& contents,
                     NewBackupFile* file) const {
    std::string out;
    kvd::BackupWriter writer(contents.header, contents.manifest,
                             contents.segments, &out);
    const int64_t all = Signed(BytesHere(contents.segments));
    int64_t done = 0;
    ProgressBar bar;
    const auto take = [&](std::string_view piece) -> Attempt<void> {
      if (const auto added = writer.Append(piece, &out); !added) {
        return Refuse(
            ExitCode::kDamage,
            "{}\n  There is no backup. Stop kvd, then list the damage "
            "with \"kvd verify DIR\".",
            added.error().message());
      }
      KVD_TRY(file->Write(out));
      out.clear();
      done += Signed(piece.size());
      if (bar.IsDue()) {
        bar.Draw(done, all,
                 fmt::format("{} of {}", HumanBytes(done), HumanBytes(all)));
      }
      return {};
    };
    KVD_TRY(Fetch(session, contents.segments, take));
    // From here on kvd may remove what it kept.
    KVD_TRY(session.Call({"KV.BACKUP", "END"}));
    writer.Finish(&out);
    return file->Write(out);
  }

  // Asks for all pieces of what is to be here, in order.
  template <typename Take>
  static Attempt<void> Fetch(Session& session,
                             const std::vector<BackupSegment>& segments,
                             Take take) {
    size_t at = 0;
    uint64_t offset = 0;
    std::vector<uint64_t> asked;  // The sizes of pieces under way.
    while (true) {
      while (at < segments.size() && asked.size() < kPiecesAhead) {
        const BackupSegment& segment = segments[at];
        if (!segment.here || offset == segment.bytes) {
          ++at;
          offset = 0;
          continue;
        }
        const uint64_t bytes = std::min(kPieceBytes, segment.bytes - offset);
        KVD_TRY(session.Send({"KV.BACKUP", "READ", std::to_string(segment.id),
                              std::to_string(offset), std::to_string(bytes)}));
        asked.push_back(bytes);
        offset += bytes;
      }
      if (asked.empty()) return {};
      KVD_TRY_ASSIGN(const kvd::Reply reply, session.Receive());
      if (reply.type != kvd::ReplyType::kString ||
          reply.text.size() != asked.front()) {
        return UnforeseenReply("KV.BACKUP READ");
      }
      asked.erase(asked.begin());
      KVD_TRY(take(reply.text));
    }
  }

  Attempt<ExitCode> Report(Session& session, const Contents& contents,
                           uint64_t file_bytes) const {
    const uint64_t bytes = BytesHere(contents.segments);
    const std::chrono::milliseconds took = Since(start_);
    const std::string text =
        session.json()
            ? JsonObject()
                  .Integer("revision", Signed(contents.header.revision))
                  .Integer("bytes", Signed(bytes))
                  .Integer("file_bytes", Signed(file_bytes))
                  .Integer("took_ms", took.count())
                  .Line()
            : fmt::format("backed up revision {}: {} in {}, as {}\n",
                          contents.header.revision, HumanBytes(Signed(bytes)),
                          FormatDuration(took), HumanBytes(Signed(file_bytes)));
    if (file_ == "-") {
      WriteError(text);
    } else {
      session.output().Write(text);
    }
    return ExitCode::kOk;
  }

  Attempt<ExitCode> Verify(Session& session) const {
    KVD_TRY_ASSIGN(const auto input, BackupInput::Open(file_));
    kvd::BackupReader& reader = input->reader();
    const int64_t all = Signed(reader.segment_bytes());
    int64_t done = 0;
    {
      ProgressBar bar;
      while (true) {
        const auto piece = reader.Next();
        if (!piece) return Unexpected(FailureOf(piece.error()));
        if (!*piece) break;
        done += Signed((*piece)->bytes.size());
        if (bar.IsDue()) {
          bar.Draw(done, all,
                   fmt::format("{} of {}", HumanBytes(done), HumanBytes(all)));
        }
      }
    }
    session.output().Write(session.json() ? VerifiedAsJson(reader)
                                          : VerifiedAsText(reader));
    return ExitCode::kOk;
  }

  static std::string VerifiedAsText(const kvd::BackupReader& reader) {
    const BackupHeader& header = reader.header();
    const std::string kind =
        header.incremental
            ? fmt::format("an incremental backup of revision {}, on one of {}",
                          header.revision, header.base_revision)
            : fmt::format("a full backup of revision {}", header.revision);
    return fmt::format("{}: intact, {}, {} of segments\n", reader.name(), kind,
                       HumanBytes(Signed(reader.segment_bytes())));
  }

  static std::string VerifiedAsJson(const kvd::BackupReader& reader) {
    const BackupHeader& header = reader.header();
    JsonObject json;
    json.Integer("revision", Signed(header.revision));
    if (header.incremental) {
      json.Integer("base_revision", Signed(header.base_revision));
    } else {
      json.Null("base_revision");
    }
    return json.Integer("bytes", Signed(reader.segment_bytes()))
        .Integer("file_bytes", Signed(reader.file_bytes()))
        .Integer("made_ms", Signed(header.made_ms))
        .Line();
  }

  std::string file_;
  std::optional<std::string> base_;
  bool verify_ = false;
  Clock::time_point start_;
};

}  // namespace

std::unique_ptr<Verb> MakeBackup() { return std::make_unique<Backup>(); }

}  // namespace kvctl
