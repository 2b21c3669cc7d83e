// SPDX-License-Identifier: MIT
//
// Moves records from a source to a sink: the loop of import and export.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cli/failure.h"
#include "cli/json.h"
#include "cli/records/record_source.h"

namespace kvctl {

struct MoveOptions {
  const char* done_word;  // "imported", "exported".
  // What names the task in the state file, and the file.
  std::string task;
  std::optional<std::string> resume_file;
  // Before the first record, so that the file tells whether it has begun.
  bool saves_at_once = false;
};

struct Moved {
  int64_t records = 0;
  int64_t bytes = 0;  // Of keys and values.
  std::chrono::milliseconds took{0};
};

// Moves all records, with a bar on a terminal. SIGINT ends it after a page, by
// a Failure of kInterrupted that says how to go on; with a resume file, which
// it then leaves, the same call goes on from there.
Attempt<Moved> Move(RecordSource* source, RecordSink* sink,
                    const MoveOptions& options);

// "imported 1,204 records (3.1 MiB) in 1.2s, 1,003/s".
std::string Summary(const Moved& moved, const char* done_word);
// The same figures as fields.
JsonObject SummaryJson(const Moved& moved);

}  // namespace kvctl
