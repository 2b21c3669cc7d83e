// SPDX-License-Identifier: MIT
//
// The clients notice what is wrong: here with kvds that are a map in memory.
#include "tests/support/random_clients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

namespace kvd {
namespace {

using client_model::Words;
using ::testing::HasSubstr;

// What goes wrong, from some command on.
enum class Wrong : uint8_t {
  kNothing,
  kLosesAWrite,      // It is answered, and not done.
  kDoesTwice,        // An INCR or APPEND.
  kReadsOld,         // From a copy of some commands ago.
  kForgetsHalf,      // Of a transaction.
  kIgnoresRevision,  // Of a conditional write.
};

// The data that all hosts share.
class Data {
 public:
  Data(uint64_t seed, Wrong wrong) : random_(seed), wrong_(wrong) {}

  std::string Do(const std::vector<Words>& commands) {
    const bool wrong = ++done_ > 100;
    if (wrong && wrong_ == Wrong::kReadsOld && commands.front()[0] == "GET" &&
        !copies_.empty()) {
      return Answer(&copies_.front(), commands.front());
    }
    std::string replies;
    Words last;
    const bool together = commands.front()[0] == "MULTI";
    for (const Words& words : commands) {
      client_model::State before = state_;
      const std::string reply = Answer(&state_, words);
      const bool lost = wrong_ == Wrong::kLosesAWrite && words[0] == "SET";
      const bool half = wrong_ == Wrong::kForgetsHalf && together &&
                        (words[0] == "APPEND" || words[0] == "SET");
      if (wrong && (lost || half)) state_ = before;
      if (wrong && wrong_ == Wrong::kDoesTwice &&
          (words[0] == "INCR" || words[0] == "APPEND")) {
        Answer(&state_, words);
      }
      if (words[0] == "EXEC") continue;
      replies += reply;
    }
    copies_.push_back(state_);
    if (copies_.size() > 20) copies_.pop_front();
    if (!together) return replies;
    const size_t inside = commands.size() - 2;
    std::string queued = "+OK\r\n";
    for (size_t i = 0; i < inside; ++i) queued += "+QUEUED\r\n";
    return queued + "*" + std::to_string(inside) + "\r\n" + replies;
  }

  uint64_t Random() { return random_(); }

 private:
  // By trying what it may reply.
  std::string Answer(client_model::State* state, const Words& words) {
    if (words[0] == "MULTI" || words[0] == "EXEC") return "";
    if (words[0] == "KV.SET") return KvSet(state, words);
    if (words[0] == "KV.GET") {
      const auto found = state->find(words[1]);
      if (found == state->end()) return "$-1\r\n";
      return "*3\r\n" + Bulk(found->second.text) + ":" +
             std::to_string(found->second.revision) + "\r\n:-1\r\n";
    }
    return Plain(state, words);
  }

  std::string KvSet(client_model::State* state, const Words& words) {
    const auto found = state->find(words[1]);
    const int64_t there = found == state->end() ? 0 : found->second.revision;
    const bool differs =
        words[3] == "IFREV" && std::to_string(there) != words[4];
    const bool ignores = wrong_ == Wrong::kIgnoresRevision && done_ > 100;
    if (differs && !ignores) return "$-1\r\n";
    if (words[3] == "NX" && found != state->end()) return "$-1\r\n";
    (*state)[words[1]] = {words[2], ++revision_};
    return ":" + std::to_string(revision_) + "\r\n";
  }

  static std::string Bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  }

  std::string Plain(client_model::State* state, const Words& words) {
    const auto text = [&](const std::string& key) {
      const auto found = state->find(key);
      return found == state->end() ? "$-1\r\n" : Bulk(found->second.text);
    };
    std::string reply;
    if (words[0] == "GET" || words[0] == "GETDEL") reply = text(words[1]);
    if (words[0] == "MGET") {
      reply = "*" + std::to_string(words.size() - 1) + "\r\n";
      for (size_t i = 1; i < words.size(); ++i) reply += text(words[i]);
    }
    if (words[0] == "EXISTS") {
      reply = state->count(words[1]) ? ":1\r\n" : ":0\r\n";
    }
    if (words[0] == "MSET") reply = "+OK\r\n";
    if (words[0] == "SET") {
      const std::string option = words.size() > 3 ? words[3] : "";
      const bool refused = option == "NX" && state->count(words[1]);
      reply = refused           ? "$-1\r\n"
              : option == "GET" ? text(words[1])
                                : "+OK\r\n";
    }
    if (words[0] == "DEL") {
      size_t removed = 0;
      for (size_t i = 1; i < words.size(); ++i) {
        removed += state->count(words[i]);
      }
      reply = ":" + std::to_string(removed) + "\r\n";
    }
    *state = *client_model::After(*state, {words}, nullptr);
    if (words[0] == "INCR") reply = ":" + state->at(words[1]).text + "\r\n";
    if (words[0] == "APPEND") {
      reply = ":" + std::to_string(state->at(words[1]).text.size()) + "\r\n";
    }
    return reply;
  }

  std::mt19937_64 random_;
  const Wrong wrong_;
  client_model::State state_;
  std::deque<client_model::State> copies_;
  int64_t revision_ = 0;
  int done_ = 0;
};

// Does commands at some moment between their arrival and their reply.
class Host final : public ClientsEnd {
 public:
  explicit Host(Data& data) : data_(data) {}

  void Send(int client, std::string_view bytes) override {
    waiting_[client] = std::string(bytes);
    MayDo(client);
  }

  std::string Receive(int client) override {
    MayDo(client);
    return data_.Random() % 2 == 0 ? std::exchange(replies_[client], {}) : "";
  }

  // Refuses what waits, or says that it does not know.
  void Fail(const std::string& error) {
    for (auto& [client, bytes] : waiting_) {
      if (bytes.empty()) continue;
      const size_t commands = CommandsIn(std::exchange(bytes, {})).size();
      for (size_t i = 0; i < commands; ++i) replies_[client] += error;
    }
  }
  void Forget() {
    waiting_.clear();
    replies_.clear();
  }

 private:
  void MayDo(int client) {
    std::string& waiting = waiting_[client];
    if (waiting.empty() || data_.Random() % 2 == 0) return;
    replies_[client] += data_.Do(CommandsIn(std::exchange(waiting, {})));
  }

  // As AppendCommand() writes them.
  static std::vector<Words> CommandsIn(std::string_view bytes) {
    std::vector<Words> commands;
    const auto number = [&bytes] {
      const size_t end = bytes.find("\r\n");
      const int value = std::stoi(std::string(bytes.substr(1, end - 1)));
      bytes.remove_prefix(end + 2);
      return static_cast<size_t>(value);
    };
    while (!bytes.empty()) {
      Words words(number());
      for (std::string& word : words) {
        const size_t size = number();
        word = bytes.substr(0, size);
        bytes.remove_prefix(size + 2);
      }
      commands.push_back(std::move(words));
    }
    return commands;
  }

  Data& data_;
  std::map<int, std::string> waiting_;
  std::map<int, std::string> replies_;
};

class RandomClientsTest : public ::testing::Test {
 protected:
  // What the clients of two hosts find wrong.
  std::string Live(uint64_t seed, Wrong wrong, bool fails = false) {
    Data data(seed, wrong);
    Host one(data), other(data);
    RandomClients clients(seed, {&one, &other}, 4);
    for (int i = 0; i < 400; ++i) {
      clients.Step();
      if (!fails || i % 40 != 0) continue;
      one.Fail("-TRYAGAIN no quorum\r\n");
      other.Fail("-ERR outcome unknown\r\n");
      if (i % 80 != 0) continue;
      other.Forget();
      clients.Lose(1);
    }
    while (clients.awaits_replies()) clients.Wait();
    answered_ += clients.answered();
    refused_ += clients.refused();
    unknown_ += clients.unknown();
    return clients.Check();
  }

  // Of ten seeds, in how many the clients notice.
  int Noticed(Wrong wrong) {
    int noticed = 0;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      noticed += !Live(seed, wrong).empty();
    }
    return noticed;
  }

  size_t answered_ = 0;
  size_t refused_ = 0;
  size_t unknown_ = 0;
};

TEST_F(RandomClientsTest, FindNothingWhereAllIsWell) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(Live(seed, Wrong::kNothing), "") << "seed " << seed;
  }
  EXPECT_GT(answered_, 2000u);
  EXPECT_EQ(refused_ + unknown_, 0u);
}

TEST_F(RandomClientsTest, BearWhatIsRefusedOrUnknown) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(Live(seed, Wrong::kNothing, /*fails=*/true), "")
        << "seed " << seed;
  }
  EXPECT_GT(refused_, 50u);
  EXPECT_GT(unknown_, 50u);
}

TEST_F(RandomClientsTest, NoticeWhatIsWrong) {
  EXPECT_EQ(Noticed(Wrong::kLosesAWrite), 10);
  EXPECT_EQ(Noticed(Wrong::kDoesTwice), 10);
  EXPECT_EQ(Noticed(Wrong::kReadsOld), 10);
  EXPECT_EQ(Noticed(Wrong::kForgetsHalf), 10);
  EXPECT_EQ(Noticed(Wrong::kIgnoresRevision), 10);
}

TEST_F(RandomClientsTest, ShowWhatCannotBe) {
  EXPECT_THAT(Live(1, Wrong::kLosesAWrite), HasSubstr("GET number:"));
}

}  // namespace
}  // namespace kvd
