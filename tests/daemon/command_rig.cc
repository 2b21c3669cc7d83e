// SPDX-License-Identifier: MIT
#include "tests/daemon/command_rig.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/check.h"
#include "store/operation.h"

namespace kvd {

void TestInbox::Take(const SharedMessage& message, const std::string* pattern,
                     uint64_t seq, bool wait) {
  message->AppendHead(protocol_, pattern, &text);
  text.append(message->text());
  newest_seq = std::max(newest_seq, seq);
  waits = wait;
}

CommandRig::CommandRig(const std::optional<StoreOptions>& options,
                       SimFileSystem* disk)
    : StoreRig(disk) {
  if (options) {
    OpenStore(*options);
    MakeDurable();  // The first segment becomes ready.
  }
  Restart();
}

void CommandRig::Restart() {
  session_ = {};
  service_.emplace(
      ServerState{.store = store_.get(), .config = config_, .clock = clock_});
  service_->socket_path = "/run/s";
  service_->connection_bytes = [this] { return session_.memory_bytes(); };
  service_->configure = [this](const Config& next) {
    config_ = next;
    service_->FollowKeyEvents();
  };
  service_->FollowKeyEvents();
  session_.id = 1;
  session_.inbox = &inbox_;
  service_->sessions.push_back(&session_);
}

Executed CommandRig::Run(const std::vector<std::string>& words,
                         std::string* reply, bool queue_writers,
                         std::vector<LentValue>* lent) {
  const std::vector<std::string_view> args(words.begin(), words.end());
  const Executed executed =
      Execute(*service_, session_, args, queue_writers, &cold_, reply, lent);
  DeliverMail();
  return executed;
}

void CommandRig::DeliverMail() {
  PubSub& pubsub = *service_->pubsub;
  std::vector<Mail> mails = pubsub.TakeMail();
  SendEvents(service_->key_events->Take(), service_->wanted_events, &pubsub);
  for (Mail& mail : pubsub.TakeMail()) mails.push_back(std::move(mail));
  for (const Mail& mail : mails) {
    const Seq seq = mail.seq.value_or(session_.newest_seen);
    pubsub.Deliver(mail, seq, store_ != nullptr && store_->MustWait(seq));
  }
}

void CommandRig::Read() {
  bool read = false;
  store_->Read(&cold_, [&read] { read = true; });
  // So many are read at a time.
  constexpr int kPollsMax = 100;
  for (int i = 0; i < kPollsMax && !read; ++i) store_->Poll();
  KVD_CHECK(read);
}

std::string CommandRig::Send(const std::vector<std::string>& words) {
  constexpr int kTriesMax = 10'000;
  std::string reply;
  WaitsFor waits_for = Run(words, &reply).waits_for;
  for (int i = 0; i < kTriesMax; ++i) {
    if (waits_for == WaitsFor::kValues) {
      Read();
    } else if (waits_for != WaitsFor::kOthers) {
      break;
    }
    service_->pubsub->Work();
    DeliverMail();
    waits_for = Run(words, &reply).waits_for;
  }
  EXPECT_EQ(waits_for, WaitsFor::kNothing) << words[0];
  if (store_) MakeDurable();
  return reply;
}

std::map<std::string, Seq> CommandRig::Revisions(int database) {
  std::map<std::string, Seq> revisions;
  Operation operation(*store_, database, &cold_);
  uint64_t cursor = 0;
  do {
    cursor = operation.Scan(cursor, 1000, [&](const Entry& entry) {
      revisions[std::string(entry.key())] = entry.seq();
    });
  } while (cursor != 0);
  return revisions;
}

std::string CommandRig::Everything() {
  const int selected = session_.database;
  std::string text;
  for (int database = 0; database < kDatabases; ++database) {
    session_.database = database;
    for (const auto& [key, revision] : Revisions(database)) {
      text += fmt::format("{} {} {} {}{}", database, key, revision,
                          Send({"GET", key}), Send({"PEXPIRETIME", key}));
    }
    if (const std::string size = Send("DBSIZE"); size != ":0\r\n") {
      text += fmt::format("{} {}", database, size);
    }
  }
  session_.database = selected;
  return text;
}

std::vector<std::string> CommandRig::SplitLine(std::string_view line) {
  std::vector<std::string> words;
  for (size_t start = 0; start < line.size();) {
    const size_t end = std::min(line.find(' ', start), line.size());
    words.emplace_back(line.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

}  // namespace kvd
