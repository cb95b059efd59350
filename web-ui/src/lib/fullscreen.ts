// The whole screen for the page, as a line's monitor wants it.

export function toggleFullscreen(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  // A browser may refuse (kiosk policy, an embedded view); the page works the same without.
  else document.documentElement.requestFullscreen().catch(() => undefined);
}
