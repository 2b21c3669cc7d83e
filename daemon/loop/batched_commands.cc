// SPDX-License-Identifier: MIT
#include "daemon/loop/batched_commands.h"

#include <utility>

namespace kvd {

void BatchedCommands::RunAgain(Session* session) {
  // The newest first, each before those that came after it.
  for (; !awaited_.empty(); awaited_.pop_back()) {
    Command& command = awaited_.back();
    command.reply.clear();
    command.revisions.clear();
    again_.push_front(std::move(command));
  }
  session->unsettled = 0;
  // One that waits is still the first of those that were there before.
  under_way_ = false;
}

void BatchedCommands::RunThen(std::span<const std::string_view> words) {
  again_.push_back({{words.begin(), words.end()}, {}, {}, {}});
}

bool BatchedCommands::BeginNext(Session* session) {
  if (again_.empty()) return false;
  Command& command = again_.front();
  session->Restore(std::exchange(command.ended, {}));
  views_.assign(command.words.begin(), command.words.end());
  under_way_ = true;
  return true;
}

void BatchedCommands::Done() {
  under_way_ = false;
  again_.pop_front();
  views_.clear();
}

}  // namespace kvd
