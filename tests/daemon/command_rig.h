// SPDX-License-Identifier: MIT
//
// What fixtures for commands inherit: a daemon without any socket, that is its
// store, its state, and the session of one client, whose id is 1.
#pragma once

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "daemon/commands/dispatch.h"
#include "daemon/state/server_state.h"
#include "tests/daemon/store_rig.h"

namespace kvd {

// What a client gets that it has not asked for, and never reads.
class TestInbox final : public Inbox {
 public:
  explicit TestInbox(int protocol = 3) : protocol_(protocol) {}

  void Take(const SharedMessage& message, const std::string* pattern,
            uint64_t seq, bool wait) override;
  size_t UnsentMessageBytes() override { return text.size(); }
  size_t OwnMessageBytes() override { return text.size(); }
  void CloseAsSlow() override {}

  std::string text;
  uint64_t newest_seq = 0;  // That a message showed.
  bool waits = false;       // The last one.

 private:
  int protocol_;
};

class CommandRig : public StoreRig {
 public:
  // Without options there is no store: the daemon loads. The disk is as for
  // StoreRig.
  explicit CommandRig(const std::optional<StoreOptions>& options = SmallStore(),
                      SimFileSystem* disk = nullptr);

  // The state and the session begin anew, with config_ as it is now.
  void Restart();

  // One try of a command.
  Executed Run(const std::vector<std::string>& words, std::string* reply,
               bool queue_writers = false,
               std::vector<LentValue>* lent = nullptr);
  // Reads what the last try asked for.
  void Read();

  // The reply, after as many tries as it takes; what it changes is durable.
  std::string Send(const std::vector<std::string>& words);
  // The words of a line, with one space between two. A template, so that what
  // stands in braces is always words.
  template <std::convertible_to<std::string_view> Line>
  std::string Send(const Line& line) {
    return Send(SplitLine(line));
  }

  // What clients can see of all keys in all databases.
  std::string Everything();

 protected:
  Config config_;
  std::optional<ServerState> service_;
  TestInbox inbox_;
  Session session_;
  ColdValues cold_;

 private:
  void DeliverMail();
  std::map<std::string, Seq> Revisions(int database);
  static std::vector<std::string> SplitLine(std::string_view line);
};

}  // namespace kvd
