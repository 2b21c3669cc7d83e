// SPDX-License-Identifier: MIT
#include "cli/servers/peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>
#include <vector>

#include "cli/advice.h"
#include "cli/input.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::Client;
using kvd::ClientFault;
using kvd::ClientResult;
using kvd::Reply;

constexpr const char* kPasswordVariable = "REDISCLI_AUTH";

// Calls visit(line) for each line of INFO.
template <typename Visit>
void ForEachLine(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = std::min(text.find("\r\n"), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 2, text.size()));
  }
}

// The number that `text` begins with, behind `prefix`.
std::optional<int64_t> NumberBehind(std::string_view text,
                                    std::string_view prefix) {
  if (!text.starts_with(prefix)) return {};
  int64_t number = 0;
  const char* begin = text.data() + prefix.size();
  const auto fault =
      std::from_chars(begin, text.data() + text.size(), number).ec;
  if (fault != std::errc()) return {};
  return number;
}

}  // namespace

kvd::ServerAddress ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  const bool is_path =
      colon == text.npos || colon == 0 || colon + 1 == text.size() ||
      text.find('/') != text.npos ||
      text.find_first_not_of("0123456789", colon + 1) != text.npos;
  if (is_path) return {.path = text};
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);  // [::1]:6379
  }
  return {.path = "", .host = host, .port = text.substr(colon + 1)};
}

Attempt<std::unique_ptr<Peer>> Peer::Connect(const PeerOptions& options) {
  ClientResult<Client> client = Client::Connect(
      options.address, {.timeout = options.timeout, .wait = options.wait});
  if (!client) return Unexpected(DescribeConnect(client.error(), options));
  std::unique_ptr<Peer> peer(new Peer(std::move(*client), options));
  KVD_TRY(peer->LogIn());
  KVD_TRY(peer->Probe());
  return peer;
}

Attempt<void> Peer::LogIn() {
  if (!options_.password) return {};
  std::vector<std::string_view> words = {"AUTH"};
  if (options_.user) words.push_back(*options_.user);
  words.push_back(*options_.password);
  ClientResult<Reply> reply = client_.Call(words);
  if (!reply) return Unexpected(DescribeFault(reply.error()));
  // Of two servers perhaps one has a password.
  const bool needs_none =
      reply->text.find("without any password configured") != std::string::npos;
  if (!reply->is_error() || needs_none) return {};
  return Unexpected(Refusal(*reply, "AUTH"));
}

Attempt<void> Peer::Probe() {
  KVD_TRY_ASSIGN(is_kvd_, Knows({"KV.GET", "", "META"}));
  if (is_kvd_) return {};
  KVD_TRY_ASSIGN(knows_deadlines_, Knows({"PEXPIRETIME", ""}));
  return {};
}

Attempt<bool> Peer::Knows(std::initializer_list<std::string_view> words) {
  ClientResult<Reply> reply = client_.Call(words);
  if (!reply) return Unexpected(DescribeFault(reply.error()));
  if (!reply->is_error()) return true;
  if (reply->text.starts_with("ERR unknown command")) return false;
  return Unexpected(Refusal(*reply, *words.begin()));
}

Attempt<Reply> Peer::Call(std::initializer_list<std::string_view> words) {
  ClientResult<Reply> reply = client_.Call(words);
  if (!reply) return Unexpected(DescribeFault(reply.error()));
  if (reply->is_error()) return Unexpected(Refusal(*reply, *words.begin()));
  return std::move(*reply);
}

Attempt<void> Peer::Send(std::span<const std::string_view> words) {
  if (ClientResult<void> sent = client_.Send(words); !sent) {
    return Unexpected(DescribeFault(sent.error()));
  }
  return {};
}

Attempt<void> Peer::Send(std::initializer_list<std::string_view> words) {
  return Send(std::span(words.begin(), words.size()));
}

Attempt<void> Peer::Flush() {
  if (ClientResult<void> sent = client_.Flush(); !sent) {
    return Unexpected(DescribeFault(sent.error()));
  }
  return {};
}

Attempt<Reply> Peer::Receive() {
  ClientResult<Reply> reply = client_.Receive();
  if (!reply) return Unexpected(DescribeFault(reply.error()));
  return std::move(*reply);
}

Attempt<void> Peer::Select(int64_t database) {
  if (database == database_) return {};
  KVD_TRY(Call({"SELECT", std::to_string(database)}));
  database_ = database;
  return {};
}

Attempt<std::string> Peer::Info(std::string_view section) {
  KVD_TRY_ASSIGN(Reply reply, Call({"INFO", section}));
  if (!reply.is_text()) return Unexpected(Refusal(reply, "INFO"));
  return std::move(reply.text);
}

Attempt<std::map<int64_t, int64_t>> Peer::CountKeys() {
  KVD_TRY_ASSIGN(const std::string text, Info("keyspace"));
  std::map<int64_t, int64_t> counts;
  ForEachLine(text, [&](std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == line.npos) return;
    const auto database = NumberBehind(line.substr(0, colon), "db");
    const auto keys = NumberBehind(line.substr(colon + 1), "keys=");
    if (database && keys && *keys > 0) counts[*database] = *keys;
  });
  return counts;
}

Attempt<std::string> Peer::RunId() {
  constexpr std::string_view kName = "run_id:";
  KVD_TRY_ASSIGN(const std::string text, Info("server"));
  std::string run_id;
  ForEachLine(text, [&](std::string_view line) {
    if (line.starts_with(kName)) run_id = line.substr(kName.size());
  });
  return run_id;
}

Failure Peer::Refusal(const Reply& reply, std::string_view command) const {
  if (!reply.is_error()) {
    return {ExitCode::kServerError,
            fmt::format("{} gave an unexpected reply to {}", name(), command)};
  }
  Failure failure = DescribeErrorReply(reply.text);
  if (options_.is_own) return failure;
  failure.text = fmt::format("{}: {}", name(), failure.text);
  if (reply.text.starts_with("NOAUTH") || reply.text.starts_with("WRONGPASS")) {
    failure.code = ExitCode::kPermission;
    failure.text += fmt::format(
        "\n  Give the password:  --password-file FILE, or ${}; the user:  "
        "--user NAME",
        kPasswordVariable);
  }
  return failure;
}

Failure Peer::DescribeConnect(const kvd::ClientError& error,
                              const PeerOptions& options) {
  if (options.is_own || error.fault == ClientFault::kPermission) {
    return kvctl::DescribeFault(error, {.socket = options.address.path,
                                        .timeout = options.timeout,
                                        .writes = false});
  }
  return {ExitCode::kUnreachable,
          fmt::format("cannot reach {}: {}", options.name, error.message)};
}

Failure Peer::DescribeFault(const kvd::ClientError& error) const {
  if (options_.is_own) {
    return kvctl::DescribeFault(error, {.socket = options_.address.path,
                                        .timeout = options_.timeout,
                                        .writes = false});
  }
  const ExitCode code =
      error.fault == ClientFault::kLoading    ? ExitCode::kUnreachable
      : error.fault == ClientFault::kProtocol ? ExitCode::kServerError
                                              : ExitCode::kUnknown;
  return {code, fmt::format("{}: {}", name(), Escape(error.message))};
}

Attempt<PeerOptions> OwnPeer(const GlobalOptions& options) {
  KVD_TRY(CheckSocket(options));
  return PeerOptions{.address = {.path = options.socket},
                     .name = "kvd at " + Escape(options.socket),
                     .is_own = true,
                     .timeout = options.timeout,
                     .wait = options.wait};
}

Attempt<PeerOptions> OtherPeer(
    const GlobalOptions& options, const std::string& place,
    const std::optional<std::string>& user,
    const std::optional<std::string>& password_file) {
  PeerOptions peer = {.address = ParseAddress(place),
                      .name = Escape(place),
                      .timeout = options.timeout,
                      .wait = options.wait,
                      .user = user};
  if (password_file) {
    KVD_TRY_ASSIGN(std::string text, ReadFile(*password_file));
    peer.password = text.substr(0, text.find_first_of("\r\n"));
  } else if (const char* password = std::getenv(kPasswordVariable)) {
    peer.password = password;
  }
  if (user && !peer.password) {
    return Refuse(ExitCode::kUsage,
                  "--user needs a password:  --password-file FILE, or ${}",
                  kPasswordVariable);
  }
  return peer;
}

}  // namespace kvctl
