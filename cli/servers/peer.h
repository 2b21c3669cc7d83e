// SPDX-License-Identifier: MIT
//
// A server that records come from or go to: kvd, or a Redis or Valkey.
#pragma once

#include <chrono>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cli/failure.h"
#include "cli/session.h"
#include "client/client.h"

namespace kvctl {

// "HOST:PORT" or the path of a socket.
kvd::ServerAddress ParseAddress(const std::string& text);

struct PeerOptions {
  kvd::ServerAddress address;
  // "kvd at /run/kvd/kvd.sock", for messages.
  std::string name;
  bool is_own = false;  // kvd as --socket names it: failures as everywhere.
  std::chrono::milliseconds timeout{5000};
  std::chrono::milliseconds wait{0};
  std::optional<std::string> user = {};
  std::optional<std::string> password = {};
};

// One connection. Thread: one at a time.
class Peer {
 public:
  // Connects, logs in and finds out what the server is.
  static Attempt<std::unique_ptr<Peer>> Connect(const PeerOptions& options);

  const std::string& name() const { return options_.name; }
  // It has KV.GET.
  bool is_kvd() const { return is_kvd_; }
  // Without PEXPIRETIME (Redis before 7) deadlines are computed from PTTL, and
  // are inexact by what the reply took.
  bool knows_deadlines() const { return knows_deadlines_; }

  // A reply; an error reply becomes a Failure.
  Attempt<kvd::Reply> Call(std::initializer_list<std::string_view> words);
  // Replies to Send() come by Receive(), in order, errors as they are.
  Attempt<void> Send(std::span<const std::string_view> words);
  Attempt<void> Send(std::initializer_list<std::string_view> words);
  Attempt<void> Flush();
  Attempt<kvd::Reply> Receive();

  int64_t database() const { return database_; }
  // Selects the database if it is not the current one.
  Attempt<void> Select(int64_t database);
  // How many keys there are, by database; none of those without keys.
  Attempt<std::map<int64_t, int64_t>> CountKeys();
  // Names this life of the server.
  Attempt<std::string> RunId();

  // The Failure for an error reply, or for one that the protocol does not
  // foresee.
  Failure Refusal(const kvd::Reply& reply, std::string_view command) const;

 private:
  Peer(kvd::Client client, const PeerOptions& options)
      : client_(std::move(client)), options_(options) {}

  Attempt<void> LogIn();
  Attempt<void> Probe();
  Attempt<bool> Knows(std::initializer_list<std::string_view> words);
  Attempt<std::string> Info(std::string_view section);
  static Failure DescribeConnect(const kvd::ClientError& error,
                                 const PeerOptions& options);
  Failure DescribeFault(const kvd::ClientError& error) const;

  kvd::Client client_;
  const PeerOptions options_;
  bool is_kvd_ = false;
  bool knows_deadlines_ = true;
  int64_t database_ = 0;
};

// kvd, as the options of the line say.
Attempt<PeerOptions> OwnPeer(const GlobalOptions& options);

// Another server: `place` is HOST:PORT or a socket's path. The password comes
// from the first line of a file, or from $REDISCLI_AUTH: others can see a
// command line.
Attempt<PeerOptions> OtherPeer(const GlobalOptions& options,
                               const std::string& place,
                               const std::optional<std::string>& user,
                               const std::optional<std::string>& password_file);

}  // namespace kvctl
