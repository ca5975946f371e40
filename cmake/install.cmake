# cmake --install: the program, libheddle.so, its headers, and what finds them (find_package(heddle), pkg-config).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

target_include_directories(heddle_shared INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_compile_features(heddle_shared INTERFACE cxx_std_23)
set_target_properties(heddle_shared PROPERTIES EXPORT_NAME heddle)

install(TARGETS heddle RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(TARGETS heddle_shared EXPORT heddle LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/heddle")
install(EXPORT heddle NAMESPACE heddle:: FILE heddle-targets.cmake DESTINATION "${package_folder}")
configure_package_config_file(cmake/heddle-config.cmake.in "${CMAKE_BINARY_DIR}/heddle-config.cmake"
  INSTALL_DESTINATION "${package_folder}")
# Before 1.0 a minor version may break programs.
write_basic_package_version_file("${CMAKE_BINARY_DIR}/heddle-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/heddle-config.cmake" "${CMAKE_BINARY_DIR}/heddle-config-version.cmake"
  DESTINATION "${package_folder}")

# Found from where the file lies, so that the installed tree may be moved.
file(RELATIVE_PATH heddle_pc_include "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(cmake/heddle.pc.in "${CMAKE_BINARY_DIR}/heddle.pc" @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/heddle.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
