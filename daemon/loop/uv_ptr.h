// SPDX-License-Identifier: MIT
#pragma once

#include <uv.h>

#include <memory>

namespace kvd {

// Closes a handle that uv_*_init accepted. libuv may touch it until the close
// callback, so only that callback frees it; earlier callbacks see null data.
template <typename T>
struct UvCloser {
  void operator()(T* handle) const {
    handle->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<T*>(closed); });
  }
};
template <typename T>
using UvPtr = std::unique_ptr<T, UvCloser<T>>;

template <typename T>
uv_handle_t* AsHandle(const UvPtr<T>& handle) {
  return reinterpret_cast<uv_handle_t*>(handle.get());
}

}  // namespace kvd
