// SPDX-License-Identifier: MIT
//
// Connections whose command cannot run yet, by what it waits for. A parked
// connection keeps its command and its input, and nothing more is read of it.
#pragma once

#include <cstddef>
#include <deque>
#include <set>
#include <vector>

#include "daemon/loop/connection.h"
#include "daemon/state/server_state.h"
#include "store/operation.h"

namespace kvd {

// Gives them out in the order in which they began to wait, and never one that
// has closed. Who took one runs its command again, and parks it anew if that
// still cannot run. Thread: loop.
class Parking {
 public:
  // `service` outlives it; it is told how many wait for room.
  explicit Parking(ServerState& service) : service_(service) {}

  // The connection's command waits, not for kNothing. If it is for values the
  // store begins to read them.
  void Park(Connection& connection, WaitsFor what);
  // The one that TakeForRoom() gave out last still waits, before all others.
  void ParkFirst(Connection& connection);

  // Each one takes out the next, or says null.
  Connection* TakeForRoom() { return TakeFrom(&room_); }
  Connection* TakeWithValues();
  Connection* TakeForOthers() { return TakeFrom(&others_); }
  // All that wait for news.
  std::vector<Connection*> TakeForNews();
  // All there are, whatever they wait for. What is read for them is abandoned.
  std::vector<Connection*> TakeAll();

  // Whether some wait for room: commands that would change something go behind
  // them.
  bool queues_writers() const { return !room_.empty(); }
  // Whether some may run in the next turn, whatever else happens.
  bool has_runnable() const { return !read_.empty() || !others_.empty(); }
  bool awaits_news() const { return !news_.empty(); }
  // Whether a stop should wait for some. News may take minutes to come.
  bool delays_stop() const {
    return !room_.empty() || !values_.empty() || !others_.empty();
  }

  // Forgets that one, which runs again for another reason.
  void Remove(Connection& connection);
  // Forgets those that have closed.
  void EraseClosed();

 private:
  Connection* TakeFrom(std::deque<Connection*>* queue);
  void CountForRoom() { service_.stats.parked = room_.size(); }

  ServerState& service_;
  std::deque<Connection*> room_;
  std::vector<Connection*> news_;
  std::set<Connection*> values_;  // The store reads for them …
  std::deque<Connection*> read_;  // … and has read for these of them.
  std::deque<Connection*> others_;
};

}  // namespace kvd
