// SPDX-License-Identifier: MIT
#include "cli/moving/move.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "cli/duration.h"
#include "cli/progress.h"
#include "cli/records/interrupt.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How much is done again after kvctl was killed.
constexpr milliseconds kSaveEvery{1000};

int64_t PerSecond(int64_t count, milliseconds took) {
  return count * 1000 / std::max<int64_t>(took.count(), 1);
}

class Mover {
 public:
  Mover(RecordSource* source, RecordSink* sink, const MoveOptions& options)
      : source_(*source), sink_(*sink), options_(options) {}

  Attempt<Moved> Run() {
    const InterruptCatcher catcher;
    KVD_TRY(Resume());
    if (options_.saves_at_once && options_.resume_file) KVD_TRY(Save());
    next_save_ = Clock::now() + kSaveEvery;
    std::vector<Record> page;
    while (true) {
      page.clear();
      const Attempt<bool> more = source_.Next(&page);
      Number(&page);
      Attempt<void> put = sink_.Put(page);
      if (!more) return Stop(more.error());
      if (!put) return Unexpected(WithAdvice(std::move(put).error()));
      if (!*more) break;
      const bool may_end = source_.CanPause() || !options_.resume_file;
      if (Interrupted() && may_end) return Interrupt();
      if (source_.CanPause()) KVD_TRY(SaveIfDue());
      Draw();
    }
    KVD_TRY(sink_.Finish());
    if (options_.resume_file) {
      KVD_TRY(RemoveCheckpoint(*options_.resume_file));
    }
    moved_.took = Took();
    return moved_;
  }

 private:
  Attempt<void> Resume() {
    if (!options_.resume_file) return {};
    KVD_TRY_ASSIGN(const std::optional<Checkpoint> checkpoint,
                   LoadCheckpoint(*options_.resume_file));
    if (!checkpoint) return {};
    if (checkpoint->task != options_.task) {
      return Refuse(ExitCode::kUsage,
                    "{} belongs to another command: {}"
                    "\n  Name a file that is not there, or remove it to begin "
                    "anew",
                    Escape(*options_.resume_file), Escape(checkpoint->task));
    }
    KVD_TRY(source_.Resume(*checkpoint));
    KVD_TRY(sink_.Resume(*checkpoint));
    moved_.records = checkpoint->records;
    moved_.bytes = checkpoint->bytes;
    saved_ = true;
    return {};
  }

  // Counts the records, and numbers those of a server, for messages.
  void Number(std::vector<Record>* page) {
    for (Record& record : *page) {
      ++moved_.records;
      moved_.bytes +=
          static_cast<int64_t>(record.key.size() + record.value.size());
      if (record.place.record == 0) record.place.record = moved_.records;
    }
  }

  Attempt<void> SaveIfDue() {
    if (!options_.resume_file || Clock::now() < next_save_) return {};
    KVD_TRY(Save());
    next_save_ = Clock::now() + kSaveEvery;
    return {};
  }

  Attempt<void> Save() {
    KVD_TRY(sink_.Settle());
    Checkpoint checkpoint;
    checkpoint.task = options_.task;
    checkpoint.records = moved_.records;
    checkpoint.bytes = moved_.bytes;
    source_.Save(&checkpoint);
    sink_.Save(&checkpoint);
    KVD_TRY(SaveCheckpoint(*options_.resume_file, checkpoint));
    saved_ = true;
    return {};
  }

  // What stands before a record that cannot be read is moved.
  Attempt<Moved> Stop(Failure failure) {
    KVD_TRY(sink_.Settle());
    if (sink_.KeepsParts()) {
      failure.text += fmt::format("\n  {} records before it are {}",
                                  Grouped(moved_.records), options_.done_word);
    }
    return Unexpected(WithAdvice(std::move(failure)));
  }

  Failure WithAdvice(Failure failure) const {
    if (saved_) {
      failure.text += fmt::format(
          "\n  Go on with the same command when that is mended; {} remembers "
          "how far it was",
          Escape(*options_.resume_file));
    }
    return failure;
  }

  Attempt<Moved> Interrupt() {
    if (!options_.resume_file) {
      KVD_TRY(sink_.Settle());
      return Refuse(ExitCode::kInterrupted,
                    "interrupted; {} records are {}"
                    "\n  Start it again from the beginning; --resume-file "
                    "STATE would let it go on",
                    sink_.KeepsParts() ? Grouped(moved_.records) : "no",
                    options_.done_word);
    }
    KVD_TRY(Save());
    return Refuse(ExitCode::kInterrupted,
                  "interrupted; {} records are {}"
                  "\n  Go on from there with the same command; {} remembers",
                  Grouped(moved_.records), options_.done_word,
                  Escape(*options_.resume_file));
  }

  void Draw() {
    if (!bar_.IsDue()) return;
    const RecordSource::Progress progress = source_.progress();
    bar_.Draw(progress.done, progress.all,
              fmt::format("{} records  {}  {}/s", Grouped(moved_.records),
                          HumanBytes(moved_.bytes),
                          Grouped(PerSecond(moved_.records, Took()))));
  }

  milliseconds Took() const {
    return std::chrono::duration_cast<milliseconds>(Clock::now() - start_);
  }

  RecordSource& source_;
  RecordSink& sink_;
  const MoveOptions& options_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_save_;
  bool saved_ = false;  // There is a state file to go on from.
  ProgressBar bar_;
  Moved moved_;
};

}  // namespace

Attempt<Moved> Move(RecordSource* source, RecordSink* sink,
                    const MoveOptions& options) {
  return Mover(source, sink, options).Run();
}

std::string Summary(const Moved& moved, const char* done_word) {
  return fmt::format(
      "{} {} ({}) in {}, {}/s", done_word,
      moved.records == 1 ? "1 record" : Grouped(moved.records) + " records",
      HumanBytes(moved.bytes), FormatDuration(moved.took),
      Grouped(PerSecond(moved.records, moved.took)));
}

JsonObject SummaryJson(const Moved& moved) {
  JsonObject json;
  json.Integer("records", moved.records)
      .Integer("bytes", moved.bytes)
      .Integer("took_ms", moved.took.count());
  return json;
}

}  // namespace kvctl
