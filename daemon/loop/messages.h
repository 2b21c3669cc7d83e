// SPDX-License-Identifier: MIT
//
// Gives messages out to their receivers, and sends them. To send is a system
// call for each client, and there may be thousands of them: so they go out in
// slices, while others' commands are executed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "daemon/loop/connection.h"
#include "daemon/state/server_state.h"

namespace kvd {

// Borrows connections as Turn does. Thread: loop.
class Messages {
 public:
  explicit Messages(ServerState& service)
      : service_(service),
        pubsub_(*service.pubsub),
        key_events_(*service.key_events) {}

  // Whether a command has published something.
  bool has_mail() const {
    return pubsub_.has_mail() || key_events_.has_ready();
  }
  // Gives out what one has, behind its reply, and events of keys before that.
  // `seen` is the newest change that its client has seen.
  void Deliver(Seq seen);
  // The same of messages alone, and of so many events of keys at the most.
  void DeliverMail(Seq seen) { GiveOut(pubsub_.TakeMail(), seen); }
  void DeliverEvents(size_t most);

  // The connection may have messages to send, `bytes` more than before.
  void SendLater(Connection& connection, size_t bytes);
  // A slice of what was put off.
  void Work();
  // Some of those that have messages to send.
  std::vector<Connection*> TakeSome();
  bool has_work() const {
    return !later_.empty() || pubsub_.has_work() || key_events_.has_ready();
  }

  // Forgets those that have closed.
  void EraseClosed();

 private:
  void GiveOut(const std::vector<Mail>& mail, Seq seen);
  void KeepWithinLimit();

  ServerState& service_;
  PubSub& pubsub_;
  KeyEvents& key_events_;
  std::deque<Connection*> later_;
  uint64_t later_bytes_ = 0;          // Of their messages.
  uint64_t looked_at_delivered_ = 0;  // Bytes, when memory was looked at last.
};

}  // namespace kvd
