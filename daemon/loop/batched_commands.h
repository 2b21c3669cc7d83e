// SPDX-License-Identifier: MIT
//
// One client's commands in a batch of the store (store/batches.h): they have
// run, and it is not certain yet whether that counts. Their words and replies
// are kept until it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/state/kept_words.h"
#include "daemon/state/session.h"

namespace kvd {

// Thread: loop.
class BatchedCommands {
 public:
  struct Command {
    KeptWords words;
    Session::Ended ended = {};  // What it took of the session …
    Session::Undo undo = {};    // … and what it changed there.
    std::string reply;
    // Where the reply has one, as 19 digits.
    std::vector<size_t> revisions = {};
    CommandStats* stats = nullptr;
    int64_t began_ns = 0;  // Of the turn that took it up.

    // CLIENT REPLY keeps its reply from the client: there always is one else.
    bool is_silent() const { return reply.empty(); }
    size_t bytes() const;
  };

  // It has run.
  void Add(Command command);
  bool awaits() const { return !awaited_.empty(); }
  // What they and their replies take, so that they can be bounded.
  size_t bytes() const { return bytes_; }

  // It counts, or does not and they are given up: takes all of them out.
  std::vector<Command> Take();

  // All of them run again, before what else the client has sent. The session is
  // as it was before them.
  void RunAgain(Session* session);
  // Behind them this one, which had to wait.
  void RunThen(std::span<const std::string_view> words, bool is_silent);
  bool has_more() const { return !again_.empty(); }
  // None of those runs any more: returns how many of them are to be answered.
  size_t GiveUp();

  // Whether the command under way is one of those: then it has these words.
  bool runs_again() const { return under_way_; }
  std::span<const std::string_view> words() const { return views_; }
  // Begins the next one, if there is one.
  bool BeginNext(Session* session);
  void Done();

 private:
  struct Again {
    KeptWords words;
    Session::Ended ended = {};
    bool is_silent = false;
  };

  std::vector<Command> awaited_;
  std::deque<Again> again_;
  size_t bytes_ = 0;        // Of awaited_.
  bool under_way_ = false;  // The first of again_.
  std::vector<std::string_view> views_;
};

}  // namespace kvd
