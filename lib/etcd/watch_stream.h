// SPDX-License-Identifier: MIT
//
// A watch that outlives its streams: when an endpoint fails, is silent, or has
// been left behind by the others, it goes on at another one, exactly from where
// it came to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "etcd/api.h"
#include "etcd/connections.h"
#include "etcd/event_thread.h"
#include "etcd/revision_groups.h"
#include "etcd/stream.h"

namespace kvd::etcd {

// Memory that updates hold until their owner has taken them: beyond this the
// stream is not read, and etcd waits.
inline constexpr size_t kUntakenBytesMax = 16 << 20;
// About what an event of a watch occupies.
size_t BytesOf(const Event& event);

// Thread: the EventThread's.
class WatchStream final : private Stream::Reader {
 public:
  struct Watched {
    std::string key;
    std::string range_end;
    int64_t from_revision = 0;
  };
  struct Sink {
    std::function<void(std::vector<WatchUpdate>)> on_updates;
    // May destroy the watch.
    std::function<void(Error)> on_end;
  };

  WatchStream(EventThread& thread, Connections& connections, Watched watched,
              Sink sink);
  ~WatchStream();
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;

  void RequestProgress();
  // The owner has taken updates of that size.
  void Taken(size_t bytes);

 private:
  // What is known of the stream that is open.
  struct Health {
    int64_t heard_ms = 0;     // When its last message came.
    bool created = false;     // etcd has accepted the watch.
    int64_t created_ms = 0;   // When.
    bool asked = false;       // A request for progress is not answered yet.
    int64_t asked_after = 0;  // The cluster's revision by then.
    int64_t revision = 0;     // Of the member, in its last answer.
    int behind = 0;           // Answers in a row that were behind.
  };

  void TakeMessage(wire::WatchResponse* message) override;
  void TakeEnd(const grpc::Status& status) override;

  void Look();
  void LookAtHealth(int64_t now);
  void Open();
  void GoElsewhere(std::string why);
  bool MayAsk(int64_t now) const;
  void AskProgress();
  // Whether the watch has ended.
  bool TakeCancel(const wire::WatchResponse& message);
  // False: etcd's history is another one than before.
  bool TakeEvents(wire::WatchResponse* message);
  bool TakeProgress(const wire::WatchResponse& message);
  void ReadOn();
  void EndAsOther();
  void End(Error error);

  EventThread& thread_;
  Connections& connections_;
  const Watched watched_;
  const Sink sink_;
  RevisionGroups groups_;
  Stream* stream_ = nullptr;  // Null between two.
  size_t at_ = 0;             // Its endpoint.
  Health health_;
  int64_t silence_max_ms_;
  int64_t open_not_before_ms_ = 0;
  size_t untaken_bytes_ = 0;
  bool reading_ = true;  // False while too much is untaken.
  bool progress_wanted_ = false;
  EventThread::TimerId timer_;
};

}  // namespace kvd::etcd
