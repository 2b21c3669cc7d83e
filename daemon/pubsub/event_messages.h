// SPDX-License-Identifier: MIT
//
// Events of keys as messages: on the channel of the key, whose payload is the
// event's name, on that of the event, whose payload is the key, or on both.
// Source of all names: Redis.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "daemon/pubsub/pubsub.h"
#include "store/key_events.h"

namespace kvd {

// What the letters of a setting ask for, such as "KEA".
struct WantedEvents {
  uint8_t classes = 0;  // Of KeyEventClass; 0 if no channel is wanted.
  bool by_key = false;
  bool by_event = false;
};
WantedEvents WantedEventsOf(std::string_view letters);

// Publishes what was noted, in that order.
void SendEvents(const std::vector<KeyEvents::Noted>& noted,
                const WantedEvents& wanted, PubSub* pubsub);

}  // namespace kvd
