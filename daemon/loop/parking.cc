// SPDX-License-Identifier: MIT
#include "daemon/loop/parking.h"

#include <utility>

#include "base/check.h"

namespace kvd {
namespace {

bool IsClosed(const Connection* connection) { return connection->closed(); }

}  // namespace

void Parking::Park(Connection& connection, WaitsFor what) {
  KVD_CHECK(what != WaitsFor::kNothing);
  connection.set_parked(true);
  switch (what) {
    case WaitsFor::kNothing:
      return;
    case WaitsFor::kRoom:
      room_.push_back(&connection);
      return CountForRoom();
    case WaitsFor::kValues:
      values_.insert(&connection);
      return service_.store->Read(&connection.cold(), [this, &connection] {
        read_.push_back(&connection);
      });
    case WaitsFor::kNews:
      news_.push_back(&connection);
      return;
    case WaitsFor::kOthers:
      others_.push_back(&connection);
      return;
  }
}

void Parking::ParkFirst(Connection& connection) {
  connection.set_parked(true);
  room_.push_front(&connection);
  CountForRoom();
}

Connection* Parking::TakeFrom(std::deque<Connection*>* queue) {
  Connection* taken = nullptr;
  while (taken == nullptr && !queue->empty()) {
    if (!queue->front()->closed()) taken = queue->front();
    queue->pop_front();
  }
  CountForRoom();
  if (taken != nullptr) taken->set_parked(false);
  return taken;
}

Connection* Parking::TakeWithValues() {
  Connection* taken = TakeFrom(&read_);
  values_.erase(taken);
  return taken;
}

std::vector<Connection*> Parking::TakeForNews() {
  std::vector<Connection*> taken = std::exchange(news_, {});
  std::erase_if(taken, IsClosed);
  for (Connection* connection : taken) connection->set_parked(false);
  return taken;
}

void Parking::Remove(Connection& connection) {
  std::erase(room_, &connection);
  std::erase(news_, &connection);
  std::erase(others_, &connection);
  CountForRoom();
}

std::vector<Connection*> Parking::TakeAll() {
  std::vector<Connection*> taken(room_.begin(), room_.end());
  taken.insert(taken.end(), news_.begin(), news_.end());
  taken.insert(taken.end(), values_.begin(), values_.end());
  taken.insert(taken.end(), others_.begin(), others_.end());
  room_.clear();
  news_.clear();
  values_.clear();
  read_.clear();
  others_.clear();
  CountForRoom();
  std::erase_if(taken, IsClosed);
  for (Connection* connection : taken) {
    connection->set_parked(false);
    connection->cold().Abandon();
  }
  return taken;
}

void Parking::EraseClosed() {
  std::erase_if(room_, IsClosed);
  std::erase_if(news_, IsClosed);
  std::erase_if(values_, IsClosed);
  std::erase_if(read_, IsClosed);
  std::erase_if(others_, IsClosed);
  CountForRoom();
}

}  // namespace kvd
