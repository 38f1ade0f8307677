// The element that NiceGUI mounts: the page's own modules fill it.
export default {
  template: '<div class="fs-root"></div>',
  async mounted() {
    const { mount } = await import("/static/main.js");
    this.unmount = mount(this.$el);
  },
  unmounted() {
    this.unmount?.();
  },
};
