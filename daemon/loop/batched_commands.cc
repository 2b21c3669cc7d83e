// SPDX-License-Identifier: MIT
#include "daemon/loop/batched_commands.h"

#include <algorithm>
#include <utility>

namespace kvd {

size_t BatchedCommands::Command::bytes() const {
  return sizeof(Command) + words.bytes() + reply.capacity();
}

void BatchedCommands::Add(Command command) {
  bytes_ += command.bytes();
  awaited_.push_back(std::move(command));
}

std::vector<BatchedCommands::Command> BatchedCommands::Take() {
  bytes_ = 0;
  return std::exchange(awaited_, {});
}

void BatchedCommands::RunAgain(Session* session) {
  // The newest first, each before those that came after it.
  for (; !awaited_.empty(); awaited_.pop_back()) {
    Command& command = awaited_.back();
    session->PutBack(std::move(command.undo));
    again_.push_front({std::move(command.words), std::move(command.ended),
                       command.is_silent()});
  }
  bytes_ = 0;
  session->unsettled = 0;
  // One that waits is still the first of those that were there before.
  under_way_ = false;
}

void BatchedCommands::RunThen(std::span<const std::string_view> words,
                              bool is_silent) {
  again_.push_back({KeptWords(words), {}, is_silent});
}

size_t BatchedCommands::GiveUp() {
  under_way_ = false;
  views_.clear();
  const std::deque<Again> given_up = std::exchange(again_, {});
  return static_cast<size_t>(
      std::ranges::count(given_up, false, &Again::is_silent));
}

bool BatchedCommands::BeginNext(Session* session) {
  if (again_.empty()) return false;
  Again& command = again_.front();
  session->Restore(std::exchange(command.ended, {}));
  // CLIENT REPLY SKIP was about this one; OFF still is.
  using Mode = Session::ReplyMode;
  if (command.is_silent && session->reply_mode == Mode::kOn) {
    session->reply_mode = Mode::kSkipNext;
  }
  command.words.View(&views_);
  under_way_ = true;
  return true;
}

void BatchedCommands::Done() {
  under_way_ = false;
  again_.pop_front();
  views_.clear();
}

}  // namespace kvd
