// SPDX-License-Identifier: MIT
#include "cli/session.h"

#include <utility>

#include "cli/advice.h"
#include "cli/text.h"

namespace kvctl {
namespace {

using kvd::Client;
using kvd::ClientFault;
using kvd::ClientResult;
using kvd::Reply;

// A page of SCAN: large enough to be quick, small enough not to be felt.
constexpr std::string_view kKeysPerPage = "1000";

Attempt<Reply> Accept(Reply reply) {
  if (reply.is_error()) return Unexpected(DescribeErrorReply(reply.text));
  return reply;
}

bool SaysLoading(const Reply& status) {
  for (size_t i = 0; i + 1 < status.elements.size(); i += 2) {
    if (status.elements[i].text != "state") continue;
    return status.elements[i + 1].text == "loading";
  }
  return false;
}

}  // namespace

Attempt<Reply> Session::Call(Words words) {
  KVD_TRY(Connect());
  ClientResult<Reply> reply = client_->Call(words);
  if (reply) return Accept(std::move(*reply));
  if (reply.error().fault == ClientFault::kClosed && !passed_over_.empty()) {
    return Unexpected(DescribeErrorReply(passed_over_));
  }
  return Unexpected(Describe(reply.error(), writes_));
}

Attempt<Reply> Session::Call(std::initializer_list<std::string_view> words) {
  return Call(Words(words.begin(), words.size()));
}

Attempt<std::optional<Reply>> Session::CallUntilClosed(Words words) {
  KVD_TRY(Connect());
  ClientResult<Reply> reply = client_->Call(words);
  if (!reply && reply.error().fault == ClientFault::kClosed) {
    return std::nullopt;
  }
  if (!reply) return Unexpected(Describe(reply.error(), writes_));
  KVD_TRY_ASSIGN(Reply accepted, Accept(std::move(*reply)));
  return accepted;
}

Attempt<void> Session::AwaitLoaded() {
  KVD_TRY(Connect());
  ClientResult<Reply> reply = client_->Call({"KV.STATUS"});
  // Either the server does not know the command, or it closes the connection,
  // and this is why.
  if (reply && reply->is_error()) passed_over_ = reply->text;
  // The client repeats a command that needs the data until it is there.
  if (reply && SaysLoading(*reply)) reply = client_->Call({"EXISTS", ""});
  if (!reply) return Unexpected(Describe(reply.error(), false));
  return {};
}

Attempt<std::vector<Reply>> Session::CallAll(
    std::span<const std::vector<std::string_view>> commands) {
  KVD_TRY(Connect());
  for (const std::vector<std::string_view>& words : commands) {
    if (ClientResult<void> sent = client_->Send(words); !sent) {
      return Unexpected(Describe(sent.error(), writes_));
    }
  }
  std::vector<Reply> replies;
  for (size_t i = 0; i < commands.size(); ++i) {
    ClientResult<Reply> reply = client_->Receive();
    if (!reply) return Unexpected(Describe(reply.error(), writes_));
    KVD_TRY_ASSIGN(Reply accepted, Accept(std::move(*reply)));
    replies.push_back(std::move(accepted));
  }
  return replies;
}

Attempt<void> Session::Send(std::initializer_list<std::string_view> words) {
  KVD_TRY(Connect());
  if (ClientResult<void> sent = client_->Send(words); !sent) {
    return Unexpected(Describe(sent.error(), writes_));
  }
  return {};
}

Attempt<Reply> Session::Receive() {
  ClientResult<Reply> reply = client_->Receive();
  if (!reply) return Unexpected(Describe(reply.error(), writes_));
  return Accept(std::move(*reply));
}

Attempt<Reply> Session::ReceiveAtAnyTime() {
  constexpr std::chrono::hours kForEver(24 * 365 * 100);
  client_->set_timeout(kForEver);
  return Receive();
}

Attempt<void> Session::ForEachPage(std::string_view prefix,
                                   const Visit& visit) {
  const std::string pattern = PrefixPattern(prefix);
  std::string cursor = "0";
  do {
    KVD_TRY_ASSIGN(Reply reply, Call({"SCAN", cursor, "MATCH", pattern, "COUNT",
                                      kKeysPerPage}));
    if (reply.elements.size() != 2 || !reply.elements[0].is_text() ||
        !reply.elements[1].is_aggregate()) {
      return UnforeseenReply("SCAN");
    }
    cursor = reply.elements[0].text;
    Page page;
    for (Reply& key : reply.elements[1].elements) {
      page.push_back(std::move(key.text));
    }
    KVD_TRY_ASSIGN(const bool go_on, visit(page));
    if (!go_on) return {};
  } while (cursor != "0");
  return {};
}

Attempt<void> Session::Connect() {
  if (client_) return {};
  KVD_TRY(CheckSocket(options_));
  ClientResult<Client> client = Client::Connect(
      options_.socket, {.timeout = options_.timeout, .wait = options_.wait});
  if (!client) return Unexpected(Describe(client.error(), false));
  client_ = std::move(*client);
  if (!options_.db) return {};
  const std::string database = std::to_string(*options_.db);
  ClientResult<Reply> selected = client_->Call({"SELECT", database});
  if (!selected) return Unexpected(Describe(selected.error(), false));
  KVD_TRY(Accept(std::move(*selected)));
  return {};
}

Failure Session::Describe(const kvd::ClientError& error, bool writes) const {
  return DescribeFault(error, {.socket = options_.socket,
                               .timeout = options_.timeout,
                               .writes = writes});
}

Attempt<void> CheckSocket(const GlobalOptions& options) {
  if (!options.socket.empty()) return {};
  return Refuse(ExitCode::kUsage,
                "KVD_SOCKET is set, but empty"
                "\n  Give it the path of kvd's socket, or unset it");
}

tl::unexpected<Failure> UnforeseenReply(std::string_view command) {
  return Refuse(ExitCode::kServerError,
                "kvd gave an unexpected reply to {}; is it another version?",
                command);
}

}  // namespace kvctl
