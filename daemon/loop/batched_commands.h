// SPDX-License-Identifier: MIT
//
// One client's commands in a batch of the store (store/batches.h): they have
// run, and it is not certain yet whether that counts. Their words and replies
// are kept until it is.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/state/session.h"

namespace kvd {

// Thread: loop.
class BatchedCommands {
 public:
  struct Command {
    std::vector<std::string> words;
    Session::Ended ended;           // What it took of the session.
    std::string reply;
    std::vector<size_t> revisions;  // Where the reply has one, as 19 digits.
  };

  // It has run.
  void Add(Command command) { awaited_.push_back(std::move(command)); }
  bool awaits() const { return !awaited_.empty(); }

  // It counts, or does not and they are given up: takes all of them out.
  std::deque<Command> Take() { return std::exchange(awaited_, {}); }

  // All of them run again, before what else the client has sent.
  void RunAgain(Session* session);
  // Behind them this one, which had to wait.
  void RunThen(std::span<const std::string_view> words);

  // Whether the command under way is one of those: then it has these words.
  bool runs_again() const { return under_way_; }
  std::span<const std::string_view> words() const { return views_; }
  // Begins the next one, if there is one.
  bool BeginNext(Session* session);
  void Done();

 private:
  std::deque<Command> awaited_;
  std::deque<Command> again_;
  bool under_way_ = false;  // The first of again_.
  std::vector<std::string_view> views_;
};

}  // namespace kvd
