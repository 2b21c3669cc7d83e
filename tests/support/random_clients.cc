// SPDX-License-Identifier: MIT
#include "tests/support/random_clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "resp/reply_parser.h"
#include "tests/support/linearizable.h"

namespace kvd {
namespace client_model {
namespace {

constexpr std::string_view kNull = "$-1\r\n";
constexpr std::string_view kOk = "+OK\r\n";

std::string Bulk(std::string_view text) {
  return fmt::format("${}\r\n{}\r\n", text.size(), text);
}
std::string Integer(int64_t number) { return fmt::format(":{}\r\n", number); }

// Runs commands on a state, and compares what they reply with what was replied,
// if that is known.
class Run {
 public:
  Run(State* state, const std::string* reply) : state_(*state), reply_(reply) {}

  bool All(const std::vector<Words>& commands) {
    if (commands.front()[0] != "MULTI") return One(commands.front()) && Ended();
    std::string queued(kOk);
    for (size_t i = 2; i < commands.size(); ++i) queued += "+QUEUED\r\n";
    if (!Replies(queued + fmt::format("*{}\r\n", commands.size() - 2))) {
      return false;
    }
    for (size_t i = 1; i + 1 < commands.size(); ++i) {
      if (!One(commands[i])) return false;
    }
    return Ended();
  }

 private:
  bool One(const Words& words) {
    const std::string& name = words[0];
    if (name == "GET") return Replies(TextOf(words[1]));
    if (name == "MGET") return MGet(words);
    if (name == "EXISTS") return Replies(Integer(Find(words[1]) ? 1 : 0));
    if (name == "SET") return Set(words);
    if (name == "MSET") return MSet(words);
    if (name == "INCR") return Incr(words[1]);
    if (name == "APPEND") return Append(words);
    if (name == "DEL") return Del(words);
    if (name == "GETDEL") return GetDel(words[1]);
    if (name == "KV.GET") return KvGet(words[1]);
    KVD_CHECK(name == "KV.SET");
    return KvSet(words);
  }

  bool MGet(const Words& words) {
    std::string replies = fmt::format("*{}\r\n", words.size() - 1);
    for (size_t i = 1; i < words.size(); ++i) replies += TextOf(words[i]);
    return Replies(replies);
  }

  bool Set(const Words& words) {
    const std::string option = words.size() > 3 ? words[3] : "";
    if (option == "NX" && Find(words[1])) return Replies(kNull);
    const std::string old = TextOf(words[1]);
    Put(words[1], words[2]);
    return Replies(option == "GET" ? old : kOk);
  }

  bool MSet(const Words& words) {
    for (size_t i = 1; i < words.size(); i += 2) Put(words[i], words[i + 1]);
    return Replies(kOk);
  }

  bool Incr(const std::string& key) {
    const Value* value = Find(key);
    const int64_t number = 1 + (value ? std::stoll(value->text) : 0);
    Put(key, std::to_string(number));
    return Replies(Integer(number));
  }

  bool Append(const Words& words) {
    const Value* value = Find(words[1]);
    Put(words[1], (value ? value->text : "") + words[2]);
    return Replies(Integer(
        static_cast<int64_t>(state_.find(words[1])->second.text.size())));
  }

  bool Del(const Words& words) {
    int64_t removed = 0;
    for (size_t i = 1; i < words.size(); ++i) {
      removed += static_cast<int64_t>(state_.erase(words[i]));
    }
    return Replies(Integer(removed));
  }

  bool GetDel(const std::string& key) {
    const std::string old = TextOf(key);
    state_.erase(key);
    return Replies(old);
  }

  bool KvGet(const std::string& key) {
    const auto found = state_.find(key);
    if (found == state_.end()) return Replies(kNull);
    if (!Replies("*3\r\n" + Bulk(found->second.text))) return false;
    return TakeRevision(&found->second) && Replies(Integer(-1));
  }

  // Returns whether it can have been so: where no reply has shown the key's
  // revision, it may have been the one that was asked for, or not.
  bool KvSet(const Words& words) {
    const auto found = state_.find(words[1]);
    if (words.size() > 3 && words[3] == "NX" && found != state_.end()) {
      return Replies(kNull);
    }
    if (words.size() > 3 && words[3] == "IFREV") {
      // Without a key it is 0.
      const int64_t wanted = std::stoll(words[4]);
      const int64_t there = found == state_.end() ? 0 : found->second.revision;
      const bool is_known = found == state_.end() || there != 0;
      const bool may_differ = !is_known || there != wanted;
      const bool may_be_equal = is_known ? there == wanted : wanted != 0;
      const bool was_refused = reply_ && Rest().starts_with(kNull);
      if (was_refused) return may_differ && Replies(kNull);
      if (!may_be_equal) return reply_ == nullptr;
    }
    const int64_t before = found == state_.end() ? 0 : found->second.revision;
    Put(words[1], words[2]);
    Value& value = state_.find(words[1])->second;
    return TakeRevision(&value) && (!reply_ || value.revision > before);
  }

  // The revision that the reply shows is the one that is known, if one is.
  bool TakeRevision(Value* value) {
    if (!reply_) return true;
    const std::string_view rest = Rest();
    const size_t end = rest.find("\r\n");
    if (!rest.starts_with(':') || end == std::string_view::npos) return false;
    const int64_t shown = std::stoll(std::string(rest.substr(1, end - 1)));
    at_ += end + 2;
    if (value->revision != 0 && value->revision != shown) return false;
    value->revision = shown;
    return true;
  }

  const Value* Find(const std::string& key) const {
    const auto found = state_.find(key);
    return found == state_.end() ? nullptr : &found->second;
  }
  void Put(const std::string& key, std::string text) {
    state_[key] = {std::move(text), 0};
  }
  std::string TextOf(const std::string& key) const {
    const Value* value = Find(key);
    return value ? Bulk(value->text) : std::string(kNull);
  }

  std::string_view Rest() const {
    return std::string_view(*reply_).substr(at_);
  }
  bool Replies(std::string_view expected) {
    if (!reply_) return true;
    if (!Rest().starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  bool Ended() const { return !reply_ || Rest().empty(); }

  State& state_;
  const std::string* reply_;
  size_t at_ = 0;  // So much of the reply has been compared.
};

}  // namespace

std::optional<State> After(const State& state,
                           const std::vector<Words>& commands,
                           const std::string* reply) {
  State after = state;
  if (!Run(&after, reply).All(commands)) return std::nullopt;
  return after;
}

}  // namespace client_model

namespace {

// The newest revision that a reply shows, or 0.
int64_t RevisionIn(const client_model::Words& words,
                   const std::vector<Reply>& replies) {
  const Reply& reply = replies.front();
  if (words[0] == "KV.SET" && reply.type == ReplyType::kInteger) {
    return reply.integer;
  }
  if (words[0] == "KV.GET" && reply.type == ReplyType::kArray) {
    return reply.elements[1].integer;
  }
  return 0;
}

// Those that are there as a whole.
std::vector<Reply> RepliesIn(std::string_view bytes) {
  std::vector<Reply> replies;
  ReplyParser parser;
  while (true) {
    const ReplyOutcome outcome = parser.Next(bytes);
    KVD_CHECK(outcome != ReplyOutcome::kError);
    if (outcome == ReplyOutcome::kNeedMore) return replies;
    bytes.remove_prefix(parser.consumed());
    replies.push_back(parser.TakeReply());
  }
}

std::string Line(const client_model::Words& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace

RandomClients::RandomClients(uint64_t seed, std::vector<ClientsEnd*> hosts,
                             int clients_each, int groups)
    : random_(seed), groups_(groups) {
  for (ClientsEnd* end : hosts) hosts_.push_back({end});
  for (size_t host = 0; host < hosts_.size(); ++host) {
    for (int number = 0; number < clients_each; ++number) {
      clients_.push_back({host, number, std::nullopt, "", 0});
    }
  }
}

void RandomClients::Step() {
  ++now_;
  for (Client& client : clients_) {
    if (client.awaits && Below(2) == 0) Receive(client);
    if (!client.awaits && hosts_[client.host].up && Below(2) == 0) Send(client);
  }
}

void RandomClients::Wait() {
  ++now_;
  for (Client& client : clients_) {
    if (client.awaits) Receive(client);
  }
}

bool RandomClients::awaits_replies() const {
  return std::any_of(clients_.begin(), clients_.end(),
                     [](const Client& client) { return client.awaits; });
}

void RandomClients::Lose(size_t host) {
  for (Client& client : clients_) {
    if (client.host != host || !client.awaits) continue;
    client.awaits.reset();
    client.received.clear();
    ++unknown_;
  }
}

void RandomClients::Send(Client& client) {
  Operation& operation = operations_.emplace_back();
  operation.client = fmt::format("{}/{}", client.host, client.number);
  operation.group = static_cast<int>(Below(static_cast<size_t>(groups_)));
  operation.commands = RandomCommands(client, operation.group);
  operation.called = now_;
  client.awaits = operations_.size() - 1;
  std::string bytes;
  for (const Words& words : operation.commands) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    AppendCommand(&bytes, views);
  }
  hosts_[client.host].end->Send(client.number, bytes);
}

void RandomClients::Receive(Client& client) {
  client.received += hosts_[client.host].end->Receive(client.number);
  Operation& operation = operations_[*client.awaits];
  const std::vector<Reply> replies = RepliesIn(client.received);
  if (replies.size() < operation.commands.size()) return;
  KVD_CHECK(replies.size() == operation.commands.size());
  client.awaits.reset();
  operation.reply = std::exchange(client.received, {});
  const auto error =
      std::find_if(replies.begin(), replies.end(),
                   [](const Reply& reply) { return reply.is_error(); });
  if (error == replies.end()) {
    ++answered_;
    operation.answered = now_;
    client.revision = std::max(client.revision,
                               RevisionIn(operation.commands.front(), replies));
  } else if (error->text.starts_with("TRYAGAIN") ||
             error->text.starts_with("LOADING")) {
    ++refused_;
    operation.refused = true;
  } else {
    ++unknown_;
  }
}

std::vector<client_model::Words> RandomClients::RandomCommands(
    const Client& client, int group) {
  const std::string number = fmt::format("number:{}", group);
  const std::string text = fmt::format("text:{}", group);
  const std::string revised = fmt::format("revised:{}", group);
  const std::string value = fmt::format("{}", ++values_);
  switch (Below(18)) {
    case 0:
      return {{"SET", number, value}};
    case 1:
      return {{"SET", number, value, "NX"}};
    case 2:
      return {{"SET", text, value, "GET"}};
    case 3:
      return {{"INCR", number}};
    case 4:
    case 5:
      return {{"APPEND", text, value + " "}};
    case 6:
      return {{"DEL", number, text}};
    case 7:
      return {{"GETDEL", text}};
    case 8:
      return {{"EXISTS", number}};
    case 9:
      return {{"MSET", number, value, text, value}};
    case 10:
      return {{"MGET", number, text, revised}};
    case 11:
      return {{"MULTI"}, {"INCR", number}, {"APPEND", text, value}, {"EXEC"}};
    case 12:
      return {{"MULTI"}, {"GET", number}, {"SET", text, value}, {"EXEC"}};
    case 13:
      return {{"KV.GET", revised}};
    case 14:
      return {{"KV.SET", revised, value, "NX"}};
    case 15:
      return {
          {"KV.SET", revised, value, "IFREV", std::to_string(client.revision)}};
    case 16:
      return {{"DEL", revised}};
    default:
      return {{"GET", number}};
  }
}

std::string RandomClients::Check() const {
  for (int group = 0; group < groups_; ++group) {
    Linearizability<client_model::State> check({});
    for (const Operation& operation : operations_) {
      if (operation.group != group || operation.refused) continue;
      const bool known = operation.answered != 0;
      auto apply = [&operation, known](const client_model::State& state) {
        return client_model::After(state, operation.commands,
                                   known ? &operation.reply : nullptr);
      };
      if (known) {
        check.Answered(operation.called, operation.answered, std::move(apply));
      } else {
        check.Unknown(operation.called, std::move(apply));
      }
    }
    if (!check.Check()) return HistoryOf(group);
  }
  return "";
}

std::string RandomClients::HistoryOf(int group) const {
  std::string history = "These cannot all be true:\n";
  for (const Operation& operation : operations_) {
    if (operation.group != group) continue;
    std::string line = fmt::format("{:>4}", operation.called);
    line += operation.answered  ? fmt::format("-{:<4}", operation.answered)
            : operation.refused ? " no  "
                                : "-?   ";
    line += " client " + operation.client + ":";
    for (const Words& words : operation.commands) line += " " + Line(words);
    std::string reply = operation.reply;
    for (size_t at = 0; (at = reply.find("\r\n", at)) != std::string::npos;) {
      reply.replace(at, 2, " ");
    }
    history += line + " -> " + reply + "\n";
  }
  return history;
}

}  // namespace kvd
