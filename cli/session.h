// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "client/client.h"

namespace kvctl {

// What a verb works with: the options of the line, the output, and kvd, to
// which the first call connects. Faults and error replies come as Failures.
class Session {
 public:
  using Words = std::span<const std::string_view>;

  // Both must outlive the session; `output` is standard output.
  Session(const GlobalOptions& options, bool writes, Output* output)
      : options_(options), writes_(writes), output_(output) {}

  const GlobalOptions& options() const { return options_; }
  bool json() const { return options_.json; }
  // Whether to colour what goes to the output.
  bool color() const {
    return WantsColor(STDOUT_FILENO, options_.color.value_or("auto"));
  }
  Output& output() { return *output_; }

  Attempt<kvd::Reply> Call(Words words);
  Attempt<kvd::Reply> Call(std::initializer_list<std::string_view> words);

  // A command whose good outcome is that kvd closes the connection: then there
  // is no reply.
  Attempt<std::optional<kvd::Reply>> CallUntilClosed(Words words);

  // Fails, after the time that --wait gives, while kvd loads its data.
  Attempt<void> AwaitLoaded();

  // Sends `commands` in one go; replies in the same order.
  Attempt<std::vector<kvd::Reply>> CallAll(
      std::span<const std::vector<std::string_view>> commands);

  // Pipelining: each Send is answered by one Receive, in order.
  Attempt<void> Send(std::initializer_list<std::string_view> words);
  Attempt<kvd::Reply> Receive();
  // The next message, however long that takes.
  Attempt<kvd::Reply> ReceiveAtAnyTime();

  // Walks the keys that begin with `prefix`, a page at a time, until `visit`
  // says false. A page may be empty, and a key may come twice.
  using Page = std::vector<std::string>;
  using Visit = std::function<Attempt<bool>(const Page&)>;
  Attempt<void> ForEachPage(std::string_view prefix, const Visit& visit);

 private:
  Attempt<void> Connect();
  Failure Describe(const kvd::ClientError& error, bool writes) const;

  const GlobalOptions& options_;
  const bool writes_;
  Output* const output_;
  std::optional<kvd::Client> client_;
  std::string passed_over_;  // An error reply that was not reported yet.
};

// Refuses an empty path of the socket: whoever set it meant another than the
// usual one.
Attempt<void> CheckSocket(const GlobalOptions& options);

// A reply that the protocol does not foresee for the command.
tl::unexpected<Failure> UnforeseenReply(std::string_view command);

}  // namespace kvctl
