# Every library that Heddle links, as imported targets; scripts/setup installs them.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)

add_library(heddle_wasmtime INTERFACE)
target_include_directories(heddle_wasmtime SYSTEM INTERFACE "${HEDDLE_WASMTIME_DIR}/include")
target_link_libraries(heddle_wasmtime INTERFACE
  "${HEDDLE_WASMTIME_DIR}/libheddle_wasmtime.a" Threads::Threads dl m)

# Boost.JSON is compiled once, in src/base/boost_json.cc.
add_library(heddle_boost INTERFACE)
target_link_libraries(heddle_boost INTERFACE Boost::boost Threads::Threads)

# Debian's package has no CMake files.
find_path(HEDDLE_NGHTTP2_INCLUDE nghttp2/nghttp2.h REQUIRED)
find_library(HEDDLE_NGHTTP2_LIBRARY nghttp2 REQUIRED)
add_library(heddle_nghttp2 INTERFACE)
target_include_directories(heddle_nghttp2 SYSTEM INTERFACE "${HEDDLE_NGHTTP2_INCLUDE}")
target_link_libraries(heddle_nghttp2 INTERFACE "${HEDDLE_NGHTTP2_LIBRARY}")

# Of the services; Debian's packages have no CMake files.
find_package(SQLite3 REQUIRED)
find_package(PostgreSQL REQUIRED)
find_path(HEDDLE_HIREDIS_INCLUDE hiredis/async.h REQUIRED)
find_library(HEDDLE_HIREDIS_LIBRARY hiredis REQUIRED)
find_path(HEDDLE_ZIP_INCLUDE zip.h REQUIRED)
find_library(HEDDLE_ZIP_LIBRARY zip REQUIRED)
